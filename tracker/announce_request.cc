#include "tracker/announce_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>

#include "tracker/query.h"

namespace eagle::tracker {
namespace {

constexpr std::size_t kMaxTextBytes = 64;

absl::Status Bad(std::string_view key, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("\"{}\" {}", key, what));
}

absl::Status ReadHash(const QueryParameter& parameter, std::array<std::uint8_t, 20>* out) {
  if (parameter.value.size() != out->size()) {
    return Bad(parameter.key,
               fmt::format("must be 20 bytes, percent-encoded; it has {}", parameter.value.size()));
  }
  std::copy(parameter.value.begin(), parameter.value.end(), out->begin());
  return absl::OkStatus();
}

template <typename Number>
absl::Status ReadNumber(const QueryParameter& parameter, Number min, Number max, Number* out) {
  const std::string& text = parameter.value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  if (error != std::errc() || end != text.data() + text.size() || *out < min || *out > max) {
    return Bad(parameter.key, fmt::format("must be a number from {} to {}", min, max));
  }
  return absl::OkStatus();
}

absl::Status ReadFlag(const QueryParameter& parameter, bool* out) {
  if (parameter.value != "0" && parameter.value != "1") {
    return Bad(parameter.key, "must be 0 or 1");
  }
  *out = parameter.value == "1";
  return absl::OkStatus();
}

absl::Status ReadEvent(const QueryParameter& parameter, Event* out) {
  const std::string& text = parameter.value;
  if (text == "started") {
    *out = Event::kStarted;
  } else if (text == "completed") {
    *out = Event::kCompleted;
  } else if (text == "stopped") {
    *out = Event::kStopped;
  } else if (!text.empty() && text != "paused") {
    return Bad(parameter.key, "must be started, completed, stopped, paused or empty");
  }
  return absl::OkStatus();
}

absl::Status ReadWanted(const QueryParameter& parameter, std::optional<std::size_t>* out) {
  // -1 is BEP 15's way to leave it to the tracker, and some HTTP clients use it too.
  std::int64_t wanted = 0;
  EAGLE_RETURN_IF_ERROR(ReadNumber<std::int64_t>(parameter, -1, 1'000'000'000, &wanted));
  if (wanted >= 0) *out = static_cast<std::size_t>(wanted);
  return absl::OkStatus();
}

absl::Status ReadKey(const QueryParameter& parameter, std::uint64_t* out) {
  if (parameter.value.size() > kMaxTextBytes) {
    return Bad(parameter.key, fmt::format("is longer than {} bytes", kMaxTextBytes));
  }
  *out = parameter.value.empty() ? 0 : std::hash<std::string>()(parameter.value);
  return absl::OkStatus();
}

using P = const QueryParameter&;
using R = AnnounceRequest*;

struct KnownKey {
  std::string_view name;
  bool required;
  absl::Status (*read)(P, R);
};

constexpr std::array kKnownKeys{
    KnownKey{"info_hash", true, [](P p, R r) { return ReadHash(p, &r->info_hash); }},
    KnownKey{"peer_id", true, [](P p, R r) { return ReadHash(p, &r->peer_id); }},
    KnownKey{"port", true,
             [](P p, R r) { return ReadNumber<std::uint16_t>(p, 1, 65535, &r->port); }},
    KnownKey{"left", true,
             [](P p, R r) {
               std::uint64_t left = 0;
               absl::Status status = ReadNumber<std::uint64_t>(p, 0, UINT64_MAX, &left);
               r->seed = left == 0;
               return status;
             }},
    KnownKey{"event", false, [](P p, R r) { return ReadEvent(p, &r->event); }},
    KnownKey{"numwant", false, [](P p, R r) { return ReadWanted(p, &r->wanted); }},
    KnownKey{"compact", false, [](P p, R r) { return ReadFlag(p, &r->compact); }},
    KnownKey{"no_peer_id", false, [](P p, R r) { return ReadFlag(p, &r->no_peer_id); }},
    KnownKey{"key", false, [](P p, R r) { return ReadKey(p, &r->key); }},
    KnownKey{"ip", false,
             [](P p, R r) {
               r->stated_address = p.value.substr(0, kMaxTextBytes);
               return absl::OkStatus();
             }},
};

}  // namespace

absl::StatusOr<AnnounceRequest> ParseAnnounce(std::string_view query) {
  EAGLE_ASSIGN_OR_RETURN(const auto parameters, ParseQuery(query));
  std::array<bool, kKnownKeys.size()> seen{};
  AnnounceRequest request;
  for (const QueryParameter& parameter : parameters) {
    const auto* key =
        std::find_if(kKnownKeys.begin(), kKnownKeys.end(),
                     [&](const KnownKey& known) { return known.name == parameter.key; });
    if (key == kKnownKeys.end()) continue;
    bool& seen_before = seen[key - kKnownKeys.begin()];
    if (seen_before) return Bad(key->name, "is given twice");
    seen_before = true;
    EAGLE_RETURN_IF_ERROR(key->read(parameter, &request));
  }
  for (std::size_t i = 0; i < kKnownKeys.size(); ++i) {
    if (kKnownKeys[i].required && !seen[i]) return Bad(kKnownKeys[i].name, "is missing");
  }
  return request;
}

absl::StatusOr<std::vector<InfoHash>> ParseScrape(std::string_view query) {
  EAGLE_ASSIGN_OR_RETURN(const auto parameters, ParseQuery(query));
  std::vector<InfoHash> hashes;
  for (const QueryParameter& parameter : parameters) {
    if (parameter.key != "info_hash") continue;
    EAGLE_RETURN_IF_ERROR(ReadHash(parameter, &hashes.emplace_back()));
  }
  if (hashes.empty()) {
    return absl::InvalidArgumentError("\"info_hash\" is missing: name at least one swarm");
  }
  return hashes;
}

}  // namespace eagle::tracker
