#include "seeder/notifications.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "lib/base/digest.h"
#include "lib/base/file.h"
#include "lib/observe/log.h"
#include "seeder/push_notification.h"

namespace eagle::seeder {
namespace {

constexpr std::string_view kDistribution = "/registry/notifications";
constexpr std::string_view kHarbor = "/harbor/webhook";
constexpr std::string_view kPreheats = "/preheats";
constexpr std::string_view kPreheatState = "/preheats/";
constexpr std::int64_t kMaxSecretBytes = 64 << 10;

bool IsHealth(std::string_view path) {
  return path == "/health" || path == "/_ping";
}

// The digests are compared, all of them, so that the time tells nothing of the secret.
bool SameInConstantTime(std::string_view a, std::string_view b) {
  const base::Digest::Bytes left = base::Digest::Of(a).bytes();
  const base::Digest::Bytes right = base::Digest::Of(b).bytes();
  unsigned difference = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    difference |= static_cast<unsigned>(left[i] ^ right[i]);
  }
  return difference == 0;
}

// "" when there is none or it can not be read, which is logged.
std::string FirstLine(const std::string& path) {
  if (path.empty()) return "";
  const auto text = base::ReadFile(path, kMaxSecretBytes);
  if (!text.ok()) {
    observe::Error("notification_secret_unreadable", "file", path, "error",
                   base::Message(text.status()));
    return "";
  }
  return text->substr(0, text->find_first_of("\r\n"));
}

NotificationAnswer Refusal(int status, std::string_view why) {
  return {status, fmt::format("{}\n", why)};
}

NotificationAnswer RefusalOf(const absl::Status& status) {
  if (absl::IsInvalidArgument(status)) return Refusal(400, base::Message(status));
  if (absl::IsPermissionDenied(status)) return Refusal(403, base::Message(status));
  return Refusal(503, base::Message(status));
}

std::string StateName(PreheatState state) {
  switch (state) {
    case PreheatState::kDone:
      return "SUCCESS";
    case PreheatState::kFailed:
      return "FAIL";
    case PreheatState::kRunning:
      return "RUNNING";
    case PreheatState::kQueued:
      break;
  }
  return "WAITING";
}

NotificationAnswer Describe(const PreheatView& view) {
  nlohmann::json json = {{"ID", view.id}, {"status", StateName(view.state)}};
  if (!view.failure.ok()) json["errorMsg"] = std::string(base::Message(view.failure));
  return {200, json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n"};
}

}  // namespace

bool Notifications::Authorized(std::string_view header) const {
  const std::string secret = FirstLine(secrets_.secret_file);
  bool right = !secret.empty() && SameInConstantTime(header, secret);
  const std::string password = FirstLine(secrets_.password_file);
  if (!secrets_.username.empty() && !password.empty()) {
    std::string encoded;
    absl::Base64Escape(secrets_.username + ":" + password, &encoded);
    right = SameInConstantTime(header, "Basic " + encoded) || right;
  }
  return right;
}

NotificationAnswer Notifications::Admit(const Head& head) const {
  const bool is_get = head.method == "GET" || head.method == "HEAD";
  if (IsHealth(head.path)) return is_get ? NotificationAnswer() : Refusal(405, "only GET");
  if (!Authorized(head.authorization)) {
    return Refusal(401, "the Authorization header is not the one that is configured");
  }
  const bool takes_post =
      head.path == kDistribution || head.path == kHarbor || head.path == kPreheats;
  if (!takes_post && !head.path.starts_with(kPreheatState)) {
    return Refusal(404, "try /registry/notifications, /harbor/webhook or /preheats");
  }
  if (takes_post ? head.method != "POST" : !is_get) {
    return Refusal(405, takes_post ? "only POST" : "only GET");
  }
  return {};
}

NotificationAnswer Notifications::Answer(const Head& head, std::string_view body) {
  if (IsHealth(head.path)) return {200, "{}\n"};
  if (head.path == kDistribution) return Queue(ParseDistributionEvents(body));
  if (head.path == kHarbor) return Queue(ParseHarborWebhook(body));
  if (head.path == kPreheats) return QueueOne(ParsePreheatCall(body));
  return StateOf(head.path.substr(kPreheatState.size()));
}

NotificationAnswer Notifications::Queue(
    const absl::StatusOr<std::vector<registry::ImageName>>& images) {
  if (!images.ok()) return RefusalOf(images.status());
  std::size_t queued = 0;
  for (const registry::ImageName& image : *images) {
    const auto view = preheater_.Submit({image, {}}, nullptr);
    if (view.ok()) {
      ++queued;
    } else if (absl::IsPermissionDenied(view.status())) {
      observe::Warn("notification_refused", "image", image.str(), "error",
                    base::Message(view.status()));
    } else {
      return RefusalOf(view.status());
    }
  }
  return {200,
          fmt::format("{{\"queued\": {}, \"refused\": {}}}\n", queued, images->size() - queued)};
}

NotificationAnswer Notifications::QueueOne(const absl::StatusOr<registry::ImageName>& image) {
  if (!image.ok()) return RefusalOf(image.status());
  const auto view = preheater_.Submit({*image, {}}, nullptr);
  return view.ok() ? Describe(*view) : RefusalOf(view.status());
}

NotificationAnswer Notifications::StateOf(std::string_view id) const {
  const auto view = preheater_.Find(std::string(id));
  return view ? Describe(*view) : Refusal(404, "no such preheat is remembered");
}

}  // namespace eagle::seeder
