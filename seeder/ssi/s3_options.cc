#include <fmt/format.h>

#include "lib/registry/blob_url.h"
#include "seeder/ssi/s3_backend.h"

namespace eagle::ssi {
namespace {

absl::Status Invalid(std::string_view option, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("s3 option {}: {}", option, why));
}

absl::Status Set(const std::string& key, const std::string& value, S3Options* out) {
  if (key == "endpoint") {
    auto url = registry::HttpUrl::Parse(value);
    if (!url.ok()) return Invalid(key, base::Message(url.status()));
    if (url->target != "/") return Invalid(key, "must be scheme, host and port only");
    out->endpoint = *std::move(url);
  } else if (key == "bucket") {
    out->bucket = value;
  } else if (key == "prefix") {
    out->prefix = value;
  } else if (key == "region") {
    out->region = value;
  } else if (key == "access_key_id") {
    out->access_key_id = value;
  } else if (key == "secret_key_file") {
    out->secret_key_file = value;
  } else if (key == "ca_file") {
    out->ca_file = value;
  } else if (key == "path_style") {
    if (value != "true" && value != "false") return Invalid(key, "must be true or false");
    out->path_style = value == "true";
  } else {
    return Invalid(key, "there is no such option");
  }
  return absl::OkStatus();
}

bool IsKeyPart(std::string_view text) {
  return text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/") ==
         std::string_view::npos;
}

}  // namespace

absl::StatusOr<S3Options> S3Options::Parse(const std::map<std::string, std::string>& options) {
  S3Options out;
  for (const auto& [key, value] : options) EAGLE_RETURN_IF_ERROR(Set(key, value, &out));
  if (out.endpoint.host.empty()) return Invalid("endpoint", "must be given");
  if (!registry::IsHostName(out.bucket)) return Invalid("bucket", "must be a bucket's name");
  if (!IsKeyPart(out.prefix) || out.prefix.starts_with('/')) {
    return Invalid("prefix", "may have letters, digits, -, ., _ and inner /");
  }
  if (!registry::IsHostName(out.region)) return Invalid("region", "must be a region's name");
  if (out.access_key_id.empty()) return Invalid("access_key_id", "must be given");
  if (!out.secret_key_file.starts_with('/')) {
    return Invalid("secret_key_file", "must be an absolute path");
  }
  return out;
}

}  // namespace eagle::ssi
