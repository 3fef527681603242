#include "lib/registry/http_transfer.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <mutex>

#include "lib/base/digest.h"
#include "lib/registry/blob_url.h"

namespace eagle::registry {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kMaxPoll{1000};
constexpr std::size_t kMaxHeaderValue = 8 << 10;
constexpr std::size_t kMaxChallenges = 16;
// An unwanted body that is not longer is read, so that the connection can be used again.
constexpr std::int64_t kDrainBytes = 64 << 10;

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

// Everything that curl's callbacks share; lives on Send()'s stack.
struct Transfer {
  explicit Transfer(const HttpRequest& asked) : request(asked) {}

  const HttpRequest& request;
  CURL* easy = nullptr;
  ResponseHead head;
  bool chunked = false;
  bool head_done = false;
  bool body_wanted = false;
  std::int64_t drained = 0;
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
  if (name == "etag") head.etag = value;
  if (name == "transfer-encoding") chunked = true;
  if (name == "www-authenticate" && head.www_authenticate.size() < kMaxChallenges) {
    head.www_authenticate.emplace_back(value);
  }
}

bool Transfer::OnBody(std::string_view data) {
  if (!body_wanted) {
    drained += static_cast<std::int64_t>(data.size());
    return head.status >= 300 && head.content_length.value_or(0) <= kDrainBytes &&
           drained <= kDrainBytes;
  }
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
  const HttpRequest& request = transfer->request;
  if (request.proxy.empty() && !Allows(request.reach, ClassOf(address->addr))) {
    transfer->address_refused = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// A proxy is dialled instead of the URL's host, so what can be judged is what the URL says itself.
bool AllowedThroughProxy(const HttpRequest& request) {
  const std::string& host = request.url.host;
  sockaddr_storage storage{};
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (::inet_pton(AF_INET, host.c_str(), &ipv4->sin_addr) == 1) {
    storage.ss_family = AF_INET;
  } else if (::inet_pton(AF_INET6, host.c_str(), &ipv6->sin6_addr) == 1) {
    storage.ss_family = AF_INET6;
  } else {
    const bool local = host == "localhost" || host.ends_with(".localhost");
    return Allows(request.reach, local ? AddressClass::kLocal : AddressClass::kPublic);
  }
  return Allows(request.reach, ClassOf(reinterpret_cast<const sockaddr&>(storage)));
}

using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

HeaderList HeadersOf(const HttpRequest& request) {
  curl_slist* list = nullptr;
  const auto add = [&list](const std::string& line) {
    if (curl_slist* longer = curl_slist_append(list, line.c_str())) list = longer;
  };
  if (!request.authorization.empty()) add("Authorization: " + request.authorization);
  if (!request.accept.empty()) {
    add("Accept: " + request.accept);
  } else if (!request.aws_key) {
    // Without a value curl leaves out its own "*/*"; but a signature would be of such a line, too.
    add("Accept:");
  }
  if (request.body) add("Content-Type: " + request.content_type);
  // S3 wants it, and curl signs it as it signs every header of ours.
  if (request.aws_key) {
    add("x-amz-content-sha256: " + base::Digest::Of(request.body.value_or("")).hex());
  }
  if (!request.range.if_range.empty()) add("If-Range: " + request.range.if_range);
  return {list, &curl_slist_free_all};
}

void SetTlsOptions(CURL* easy, const TlsFiles& tls) {
  // Beside those of the system, which stay in CAPATH.
  if (!tls.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, tls.ca_file.c_str());
  if (tls.certificate_file.empty()) return;
  curl_easy_setopt(easy, CURLOPT_SSLCERT, tls.certificate_file.c_str());
  curl_easy_setopt(easy, CURLOPT_SSLKEY, tls.key_file.c_str());
}

void SetMethod(CURL* easy, const HttpRequest& request) {
  if (request.body) {
    // Must outlive the transfer, as the request does.
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body->size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body->data());
  }
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET") {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  if (!request.aws_key) return;
  curl_easy_setopt(easy, CURLOPT_AWS_SIGV4,
                   fmt::format("aws:amz:{}:s3", request.aws_key->region).c_str());
  curl_easy_setopt(easy, CURLOPT_USERNAME, request.aws_key->id.c_str());
  curl_easy_setopt(easy, CURLOPT_PASSWORD, request.aws_key->secret.c_str());
}

void SetRequestOptions(CURL* easy, const HttpRequest& request) {
  curl_easy_setopt(easy, CURLOPT_URL, request.url.str().c_str());
  curl_easy_setopt(easy, CURLOPT_PROXY, request.proxy.c_str());
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request.connect_timeout.count()));
  SetMethod(easy, request);
  const ByteRange& range = request.range;
  if (range.last) {
    curl_easy_setopt(easy, CURLOPT_RANGE, fmt::format("{}-{}", range.first, *range.last).c_str());
  } else if (range.first > 0) {
    curl_easy_setopt(easy, CURLOPT_RANGE, fmt::format("{}-", range.first).c_str());
  }
  SetTlsOptions(easy, request.tls);
}

void SetFixedOptions(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  // Our headers are for the server behind a proxy, and a proxy's own are none of ours.
  curl_easy_setopt(easy, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "eagle");
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L << 10);
}

void SetCallbacks(CURL* easy, Transfer* transfer, char* error_text) {
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, HeaderCallback);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, BodyCallback);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, OpenSocketCallback);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
}

absl::Status AddressRefused(const std::string& where) {
  return absl::PermissionDeniedError(fmt::format(
      "{} has an address of this host or of a private network; list it in `origins` as endpoint "
      "or in redirect_hosts if that is meant",
      where));
}

// What curl's verdict means to us.
HttpResult ResultOf(CURLcode code, const Transfer& transfer, const char* error_text) {
  using End = HttpResult::End;
  HttpResult result;
  if (code == CURLE_OK || (transfer.head_done && !transfer.body_wanted)) {
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
    result.status = AddressRefused(where);
  } else {
    const bool certificate = code == CURLE_PEER_FAILED_VERIFICATION ||
                             code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR ||
                             code == CURLE_SSL_CERTPROBLEM;
    result.end = certificate ? End::kRefused : End::kBroken;
    result.status = absl::UnavailableError(fmt::format(
        "{}: {}", where, error_text[0] != '\0' ? error_text : curl_easy_strerror(code)));
  }
  return result;
}

// Drives the transfer to its end, and looks after cancellation and stalls.
HttpResult Drive(CURLM* multi, Transfer& transfer, const char* error_text,
                 const Cancellation& cancellation) {
  using End = HttpResult::End;
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

struct HttpClient::Handles {
  std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi{nullptr, &curl_multi_cleanup};
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy{nullptr, &curl_easy_cleanup};
};

HttpClient::HttpClient() : handles_(std::make_unique<Handles>()) {
  static std::once_flag initialised;
  std::call_once(initialised, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  handles_->multi.reset(curl_multi_init());
  handles_->easy.reset(curl_easy_init());
}

HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;

HttpResult HttpClient::Send(const HttpRequest& request, Cancellation& cancellation) {
  using End = HttpResult::End;
  CURLM* multi = handles_->multi.get();
  CURL* easy = handles_->easy.get();
  if (multi == nullptr || easy == nullptr) {
    return {End::kStopped, absl::ResourceExhaustedError("no memory for a transfer"), std::nullopt};
  }
  if (!request.proxy.empty() && !AllowedThroughProxy(request)) {
    return {End::kRefused, AddressRefused(request.url.origin()), std::nullopt};
  }
  Transfer transfer(request);
  transfer.easy = easy;
  char error_text[CURL_ERROR_SIZE] = "";
  const HeaderList headers = HeadersOf(request);
  // Keeps the connections.
  curl_easy_reset(easy);
  SetFixedOptions(easy);
  SetRequestOptions(easy, request);
  SetCallbacks(easy, &transfer, error_text);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_multi_add_handle(multi, easy);
  cancellation.SetWake([multi] { curl_multi_wakeup(multi); });
  HttpResult result = Drive(multi, transfer, error_text, cancellation);
  cancellation.SetWake(nullptr);
  curl_multi_remove_handle(multi, easy);
  return result;
}

}  // namespace eagle::registry
