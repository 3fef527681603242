#include "seeder/ssi/s3_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <vector>

#include "lib/base/file.h"
#include "seeder/ssi/xml_text.h"

namespace eagle::ssi {
namespace {

using End = registry::HttpResult::End;

constexpr std::size_t kMaxAnswer = 16 << 20;
constexpr std::int64_t kMaxSecret = 4096;
// What S3 allows.
constexpr std::int64_t kMaxParts = 10'000;

absl::Status Stopped() {
  return absl::CancelledError("the storage is being closed");
}

std::string EscapeQuery(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

absl::Status StatusOf(int status, std::string_view body, const std::string& where) {
  const std::string code = XmlText(body, "Code").value_or("");
  const std::string text =
      fmt::format("{} answered {}{}{}", where, status, code.empty() ? "" : " ", code);
  if (status == 404) return absl::NotFoundError(text);
  if (status == 401 || status == 403) {
    return absl::PermissionDeniedError(text + "; check access_key_id, secret_key_file and region");
  }
  if (status == 507) return absl::ResourceExhaustedError(text);
  return absl::UnavailableError(text);
}

bool MayPass(int status) {
  return status == 429 || status >= 500;
}

}  // namespace

// A transfer that Stop() ends.
class S3Backend::Running {
 public:
  explicit Running(S3Backend& backend) : backend_(backend) {
    const absl::MutexLock held(&backend_.mutex_);
    if (backend_.stopped_) cancellation_.Cancel();
    backend_.running_.insert(&cancellation_);
  }
  ~Running() {
    const absl::MutexLock held(&backend_.mutex_);
    backend_.running_.erase(&cancellation_);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  registry::Cancellation& cancellation() { return cancellation_; }

 private:
  S3Backend& backend_;
  registry::Cancellation cancellation_;
};

S3Backend::~S3Backend() = default;

void S3Backend::Stop() {
  const absl::MutexLock held(&mutex_);
  stopped_ = true;
  for (registry::Cancellation* cancellation : running_) cancellation->Cancel();
}

std::string S3Backend::DataPath(const std::string& id) const {
  return fmt::format("/{}data/{}", options_.prefix, id);
}

std::string S3Backend::TorrentPath(const std::string& id) const {
  return fmt::format("/{}torrents/{}", options_.prefix, id);
}

registry::HttpUrl S3Backend::UrlOf(const std::string& path, const std::string& query) const {
  registry::HttpUrl url = options_.endpoint;
  if (options_.path_style) {
    url.target = fmt::format("/{}{}", options_.bucket, path);
  } else {
    url.host = fmt::format("{}.{}", options_.bucket, url.host);
    url.target = path;
  }
  if (!query.empty()) url.target += "?" + query;
  return url;
}

std::string S3Backend::DataLocation(const std::string& id) {
  return UrlOf(DataPath(id), "").str();
}

std::string S3Backend::TorrentLocation(const std::string& id) {
  return UrlOf(TorrentPath(id), "").str();
}

absl::StatusOr<registry::HttpRequest> S3Backend::RequestFor(const Call& call) const {
  const auto secret = base::ReadFile(options_.secret_key_file, kMaxSecret);
  if (!secret.ok()) {
    return absl::UnavailableError(
        fmt::format("{}: {}", options_.secret_key_file, base::Message(secret.status())));
  }
  registry::HttpRequest request;
  request.url = UrlOf(call.path, call.query);
  // The operator names this service.
  request.reach = registry::Reach::kAnywhere;
  request.method = call.method;
  request.body = call.body;
  request.content_type = "application/octet-stream";
  request.aws_key = {options_.access_key_id, secret->substr(0, secret->find_first_of("\r\n")),
                     options_.region};
  request.tls.ca_file = options_.ca_file;
  request.connect_timeout = options_.connect_timeout;
  request.stall_timeout = options_.stall_timeout;
  return request;
}

absl::StatusOr<S3Backend::Answer> S3Backend::Do(const Call& call, registry::HttpClient& client) {
  Running running(*this);
  registry::Retries retries(options_.retries);
  while (true) {
    EAGLE_ASSIGN_OR_RETURN(registry::HttpRequest request, RequestFor(call));
    Answer answer;
    request.on_head = [&](const registry::ResponseHead& head) {
      answer.head = head;
      answer.status = head.status;
      return true;
    };
    request.on_body = [&](std::string_view data) {
      if (answer.body.size() + data.size() > kMaxAnswer) {
        return absl::Status(absl::UnavailableError("the storage's answer is too long"));
      }
      answer.body += data;
      return absl::OkStatus();
    };
    const registry::HttpResult result = client.Send(request, running.cancellation());
    absl::Status status = result.status;
    bool retry = result.end == End::kBroken;
    if (result.end == End::kComplete) {
      if (answer.status >= 200 && answer.status < 300) return answer;
      status = StatusOf(answer.status, answer.body, request.url.origin());
      retry = MayPass(answer.status);
    }
    if (running.cancellation().cancelled()) return Stopped();
    if (!retry) return status;
    const auto delay = retries.Failed(0, result.retry_after);
    if (!delay) return status;
    if (!running.cancellation().Sleep(*delay)) return Stopped();
  }
}

absl::Status S3Backend::Put(const std::string& path, std::string body) {
  registry::HttpClient client;
  return Do({"PUT", path, "", std::move(body)}, client).status();
}

// One object from parts of a fixed size; a single request when it is not larger than one part.
class S3Backend::MultipartUpload final : public Upload {
 public:
  MultipartUpload(S3Backend& backend, std::string id, std::int64_t size_bytes, std::string metainfo)
      : backend_(backend),
        id_(std::move(id)),
        path_(backend.DataPath(id_)),
        size_bytes_(size_bytes),
        part_bytes_(static_cast<std::size_t>(
            std::max(backend.options_.part_size.bytes, size_bytes / kMaxParts + 1))),
        metainfo_(std::move(metainfo)) {}

  ~MultipartUpload() override {
    if (upload_id_.empty()) return;
    // What is left of it is paid for until a life-cycle rule removes it.
    (void)backend_.Do({"DELETE", path_, UploadQuery(), std::nullopt}, client_);
  }

  absl::Status Write(std::string_view data) override {
    written_ += static_cast<std::int64_t>(data.size());
    if (written_ > size_bytes_) return WrongLength();
    while (!data.empty()) {
      const std::size_t step = std::min(data.size(), part_bytes_ - part_.size());
      part_.append(data.substr(0, step));
      data.remove_prefix(step);
      // The last part waits for Commit().
      if (part_.size() == part_bytes_ && written_ < size_bytes_) EAGLE_RETURN_IF_ERROR(SendPart());
    }
    return absl::OkStatus();
  }

  absl::Status Commit() override {
    if (written_ != size_bytes_) return WrongLength();
    // The data is what makes a layer be there, so it comes last.
    EAGLE_RETURN_IF_ERROR(backend_.Put(backend_.TorrentPath(id_), metainfo_));
    if (upload_id_.empty() && etags_.empty()) return backend_.Put(path_, std::move(part_));
    if (!part_.empty()) EAGLE_RETURN_IF_ERROR(SendPart());
    return Complete();
  }

 private:
  [[nodiscard]] absl::Status WrongLength() const {
    return absl::InvalidArgumentError(
        fmt::format("{} bytes of {} were written", written_, size_bytes_));
  }
  [[nodiscard]] std::string UploadQuery() const { return "uploadId=" + EscapeQuery(upload_id_); }

  absl::Status Begin() {
    EAGLE_ASSIGN_OR_RETURN(const Answer answer,
                           backend_.Do({"POST", path_, "uploads=", std::string()}, client_));
    upload_id_ = XmlText(answer.body, "UploadId").value_or("");
    if (upload_id_.empty()) return absl::UnavailableError("the storage began no multipart upload");
    return absl::OkStatus();
  }

  absl::Status SendPart() {
    if (upload_id_.empty()) EAGLE_RETURN_IF_ERROR(Begin());
    const std::string query = fmt::format("partNumber={}&{}", etags_.size() + 1, UploadQuery());
    EAGLE_ASSIGN_OR_RETURN(const Answer answer,
                           backend_.Do({"PUT", path_, query, std::move(part_)}, client_));
    part_.clear();
    if (answer.head.etag.empty()) return absl::UnavailableError("the storage gave no ETag");
    etags_.push_back(answer.head.etag);
    return absl::OkStatus();
  }

  absl::Status Complete() {
    std::string parts;
    for (std::size_t i = 0; i < etags_.size(); ++i) {
      parts +=
          fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, etags_[i]);
    }
    EAGLE_ASSIGN_OR_RETURN(
        const Answer answer,
        backend_.Do({"POST", path_, UploadQuery(),
                     fmt::format("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts)},
                    client_));
    // S3 may say 200 before it knows (API reference, CompleteMultipartUpload).
    if (answer.body.find("<Error>") != std::string::npos) {
      return absl::UnavailableError(
          fmt::format("the storage could not complete the upload: {}",
                      XmlText(answer.body, "Code").value_or("no reason given")));
    }
    upload_id_.clear();
    return absl::OkStatus();
  }

  S3Backend& backend_;
  const std::string id_;
  const std::string path_;
  const std::int64_t size_bytes_;
  const std::size_t part_bytes_;
  const std::string metainfo_;
  registry::HttpClient client_;
  std::int64_t written_ = 0;
  std::string part_;
  std::string upload_id_;
  std::vector<std::string> etags_;
};

absl::StatusOr<std::unique_ptr<Upload>> S3Backend::Create(const std::string& id,
                                                          std::int64_t size_bytes,
                                                          const std::string& metainfo) {
  {
    const absl::MutexLock held(&mutex_);
    if (stopped_) return Stopped();
  }
  return std::make_unique<MultipartUpload>(*this, id, size_bytes, metainfo);
}

absl::StatusOr<LayerInfo> S3Backend::Stat(const std::string& id) {
  registry::HttpClient client;
  EAGLE_ASSIGN_OR_RETURN(const Answer answer, Do({"HEAD", DataPath(id), "", std::nullopt}, client));
  if (!answer.head.content_length) return absl::UnavailableError("the storage states no length");
  return LayerInfo{id, *answer.head.content_length};
}

absl::StatusOr<std::string> S3Backend::Metainfo(const std::string& id) {
  EAGLE_RETURN_IF_ERROR(Stat(id).status());
  registry::HttpClient client;
  EAGLE_ASSIGN_OR_RETURN(Answer answer, Do({"GET", TorrentPath(id), "", std::nullopt}, client));
  return std::move(answer.body);
}

absl::Status S3Backend::SetMetainfo(const std::string& id, const std::string& metainfo) {
  EAGLE_RETURN_IF_ERROR(Stat(id).status());
  return Put(TorrentPath(id), metainfo);
}

absl::Status S3Backend::Download(const std::string& id, std::int64_t offset,
                                 std::int64_t size_bytes, const Sink& sink) {
  EAGLE_ASSIGN_OR_RETURN(const LayerInfo info, Stat(id));
  const std::int64_t end =
      std::min(info.size_bytes,
               size_bytes > info.size_bytes - offset ? info.size_bytes : offset + size_bytes);
  Running running(*this);
  registry::HttpClient client;
  registry::Retries retries(options_.retries);
  while (offset < end) {
    EAGLE_ASSIGN_OR_RETURN(registry::HttpRequest request,
                           RequestFor({"GET", DataPath(id), "", std::nullopt}));
    request.range = {offset, end - 1, ""};
    const std::int64_t before = offset;
    registry::ResponseHead answer;
    request.on_head = [&](const registry::ResponseHead& head) {
      answer = head;
      return head.status == 206;
    };
    request.on_body = [&](std::string_view data) {
      if (offset + static_cast<std::int64_t>(data.size()) > end) {
        return absl::Status(absl::UnavailableError("the storage sent more than was asked for"));
      }
      EAGLE_RETURN_IF_ERROR(sink(data));
      offset += static_cast<std::int64_t>(data.size());
      return absl::OkStatus();
    };
    const registry::HttpResult result = client.Send(request, running.cancellation());
    absl::Status status = result.status;
    bool retry = result.end == End::kBroken;
    if (result.end == End::kComplete) {
      if (answer.status == 206 && offset == end) return absl::OkStatus();
      retry = answer.status == 206 || MayPass(answer.status);
      status = answer.status == 206 ? absl::UnavailableError("the storage ended its answer early")
                                    : StatusOf(answer.status, "", request.url.origin());
    }
    if (running.cancellation().cancelled()) return Stopped();
    if (!retry) return status;
    const auto delay = retries.Failed(offset - before, result.retry_after);
    if (!delay) return status;
    if (!running.cancellation().Sleep(*delay)) return Stopped();
  }
  return absl::OkStatus();
}

absl::Status S3Backend::Delete(const std::string& id) {
  registry::HttpClient client;
  for (const std::string& path : {DataPath(id), TorrentPath(id)}) {
    const absl::Status status = Do({"DELETE", path, "", std::nullopt}, client).status();
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> S3Backend::ListPage(const std::string& prefix,
                                                const std::string& token) {
  std::string query;
  if (!token.empty()) query = "continuation-token=" + EscapeQuery(token) + "&";
  query += fmt::format("list-type=2&max-keys={}&prefix={}", options_.page_size,
                       EscapeQuery(DataPath(prefix).substr(1)));
  registry::HttpClient client;
  EAGLE_ASSIGN_OR_RETURN(Answer answer, Do({"GET", "/", query, std::nullopt}, client));
  return std::move(answer.body);
}

absl::Status S3Backend::List(const std::string& prefix, const Visitor& visitor) {
  const std::size_t skip = DataPath("").size() - 1;
  std::string token;
  do {
    EAGLE_ASSIGN_OR_RETURN(const std::string page, ListPage(prefix, token));
    for (const std::string& object : XmlTexts(page, "Contents")) {
      LayerInfo info;
      const std::string key = XmlText(object, "Key").value_or("");
      const std::string size = XmlText(object, "Size").value_or("");
      const auto parsed = std::from_chars(size.data(), size.data() + size.size(), info.size_bytes);
      if (key.size() <= skip || parsed.ec != std::errc()) continue;
      info.id = key.substr(skip);
      if (!visitor(info)) return absl::OkStatus();
    }
    token = XmlText(page, "NextContinuationToken").value_or("");
  } while (!token.empty());
  return absl::OkStatus();
}

}  // namespace eagle::ssi
