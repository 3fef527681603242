#include "lib/registry/http_get.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <mutex>

#include "lib/registry/blob_url.h"

namespace eagle::registry {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kMaxPoll{1000};
constexpr std::size_t kMaxHeaderValue = 8 << 10;

std::optional<std::int64_t> ParseNumber(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// Everything that curl's callbacks share; lives on HttpGet()'s stack.
struct Transfer {
  explicit Transfer(const HttpGetRequest& asked) : request(asked) {}

  const HttpGetRequest& request;
  CURL* easy = nullptr;
  ResponseHead head;
  bool chunked = false;
  bool head_done = false;
  bool body_wanted = false;
  bool address_refused = false;
  absl::Status body_status;
  Steady::time_point last_byte = Steady::now();

  void OnHeader(std::string_view line);
  bool OnBody(std::string_view data);
  void FinishHead();
};

void Transfer::FinishHead() {
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200) return;
  head.status = static_cast<int>(status);
  if (chunked) head.content_length.reset();
  head_done = true;
  body_wanted = request.on_head(head);
}

void Transfer::OnHeader(std::string_view line) {
  last_byte = Steady::now();
  if (head_done) return;  // a trailer
  if (line.starts_with("HTTP/")) {
    head = ResponseHead();
    chunked = false;
    return;
  }
  if (Trim(line).empty()) return FinishHead();
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string name = ToLower(line.substr(0, colon));
  const std::string_view value = Trim(line.substr(colon + 1));
  if (value.size() > kMaxHeaderValue) return;
  if (name == "content-length") head.content_length = ParseNumber(value);
  if (name == "content-range") head.content_range = value;
  if (name == "location") head.location = value;
  if (name == "transfer-encoding") chunked = true;
}

bool Transfer::OnBody(std::string_view data) {
  if (!body_wanted) return false;
  body_status = request.on_body(data);
  last_byte = Steady::now();
  return body_status.ok();
}

std::size_t HeaderCallback(char* data, std::size_t size, std::size_t count, void* transfer) {
  static_cast<Transfer*>(transfer)->OnHeader({data, size * count});
  return size * count;
}

std::size_t BodyCallback(char* data, std::size_t size, std::size_t count, void* transfer) {
  return static_cast<Transfer*>(transfer)->OnBody({data, size * count}) ? size * count : 0;
}

// Runs after the name was resolved, so it judges the address that is really dialled.
curl_socket_t OpenSocketCallback(void* data, curlsocktype, curl_sockaddr* address) {
  auto* transfer = static_cast<Transfer*>(data);
  if (!Allows(transfer->request.reach, ClassOf(address->addr))) {
    transfer->address_refused = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void SetOptions(CURL* easy, Transfer* transfer, char* error_text) {
  const HttpGetRequest& request = transfer->request;
  curl_easy_setopt(easy, CURLOPT_URL, request.url.str().c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "eagle");
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L << 10);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request.connect_timeout.count()));
  if (request.offset > 0) {
    curl_easy_setopt(easy, CURLOPT_RANGE, fmt::format("{}-", request.offset).c_str());
  }
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, HeaderCallback);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, BodyCallback);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, OpenSocketCallback);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
}

// What curl's verdict means to us.
HttpGetResult ResultOf(CURLcode code, const Transfer& transfer, const char* error_text) {
  using End = HttpGetResult::End;
  HttpGetResult result;
  if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && transfer.body_status.ok() &&
                           transfer.head_done && !transfer.body_wanted)) {
    result.end = End::kComplete;
    curl_off_t seconds = 0;
    curl_easy_getinfo(transfer.easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds > 0) result.retry_after = std::chrono::seconds(seconds);
    return result;
  }
  const std::string where = transfer.request.url.origin();
  if (!transfer.body_status.ok()) {
    result.end = End::kStopped;
    result.status = transfer.body_status;
  } else if (transfer.address_refused) {
    result.end = End::kRefused;
    result.status = absl::PermissionDeniedError(fmt::format(
        "{} has an address of this host or of a private network; list it in `origins` as endpoint "
        "or in redirect_hosts if that is meant",
        where));
  } else {
    const bool certificate = code == CURLE_PEER_FAILED_VERIFICATION ||
                             code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR;
    result.end = certificate ? End::kRefused : End::kBroken;
    result.status = absl::UnavailableError(fmt::format(
        "{}: {}", where, error_text[0] != '\0' ? error_text : curl_easy_strerror(code)));
  }
  return result;
}

// Drives the transfer to its end, and looks after cancellation and stalls.
HttpGetResult Drive(CURLM* multi, Transfer& transfer, const char* error_text,
                    const Cancellation& cancellation) {
  using End = HttpGetResult::End;
  while (true) {
    int running = 0;
    curl_multi_perform(multi, &running);
    int left = 0;
    if (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
      return ResultOf(message->data.result, transfer, error_text);
    }
    if (cancellation.cancelled()) {
      return {End::kStopped, absl::CancelledError("the fetch was cancelled"), std::nullopt};
    }
    const auto waited =
        std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - transfer.last_byte);
    if (waited >= transfer.request.stall_timeout) {
      return {End::kBroken,
              absl::UnavailableError(fmt::format("{} sent nothing for {} ms",
                                                 transfer.request.url.origin(), waited.count())),
              std::nullopt};
    }
    const auto wait = std::min(kMaxPoll, transfer.request.stall_timeout - waited);
    curl_multi_poll(multi, nullptr, 0, static_cast<int>(wait.count()) + 1, nullptr);
  }
}

}  // namespace

absl::StatusOr<ContentRange> ContentRange::Parse(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  const absl::Status malformed = absl::InvalidArgumentError("malformed Content-Range");
  if (!text.starts_with(kUnit)) return malformed;
  text.remove_prefix(kUnit.size());
  const std::size_t dash = text.find('-');
  const std::size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) {
    return malformed;
  }
  const auto first = ParseNumber(text.substr(0, dash));
  const auto last = ParseNumber(text.substr(dash + 1, slash - dash - 1));
  const auto total = ParseNumber(text.substr(slash + 1));
  if (!first || !last || !total || *first > *last || *last >= *total) return malformed;
  return ContentRange{*first, *last, *total};
}

HttpGetResult HttpGet(const HttpGetRequest& request, Cancellation& cancellation) {
  static std::once_flag initialised;
  std::call_once(initialised, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });

  const std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi(curl_multi_init(),
                                                                    &curl_multi_cleanup);
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy(curl_easy_init(),
                                                                 &curl_easy_cleanup);
  if (multi == nullptr || easy == nullptr) {
    return {HttpGetResult::End::kStopped, absl::ResourceExhaustedError("no memory for a transfer"),
            std::nullopt};
  }
  Transfer transfer(request);
  transfer.easy = easy.get();
  char error_text[CURL_ERROR_SIZE] = "";
  SetOptions(easy.get(), &transfer, error_text);
  curl_multi_add_handle(multi.get(), easy.get());
  cancellation.SetWake([raw = multi.get()] { curl_multi_wakeup(raw); });
  HttpGetResult result = Drive(multi.get(), transfer, error_text, cancellation);
  cancellation.SetWake(nullptr);
  curl_multi_remove_handle(multi.get(), easy.get());
  return result;
}

}  // namespace eagle::registry
