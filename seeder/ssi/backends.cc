#include "seeder/ssi/backends.h"

#include <fmt/format.h>

#include <utility>

#include "seeder/ssi/fs_backend.h"
#include "seeder/ssi/plugin_backend.h"
#include "seeder/ssi/s3_backend.h"

namespace eagle::ssi {
namespace {

absl::StatusOr<std::unique_ptr<Backend>> OpenFs(const std::map<std::string, std::string>& options) {
  std::string directory;
  for (const auto& [key, value] : options) {
    if (key != "directory") {
      return absl::InvalidArgumentError(fmt::format("fs option {}: there is no such option", key));
    }
    directory = value;
  }
  if (directory.empty()) return std::unique_ptr<Backend>();
  if (!directory.starts_with("/")) {
    return absl::InvalidArgumentError("fs option directory: must be an absolute path");
  }
  return FsBackend::Open(directory);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> OpenBackend(
    const std::string& name, const std::map<std::string, std::string>& options) {
  if (name == "fs") return OpenFs(options);
  if (name == "s3") {
    EAGLE_ASSIGN_OR_RETURN(S3Options s3, S3Options::Parse(options));
    return std::make_unique<S3Backend>(std::move(s3));
  }
  if (name.starts_with("/")) return OpenPlugin(name, options);
  return absl::InvalidArgumentError(fmt::format(
      "storage.backend.name: \"{}\" is neither fs, s3 nor a shared object's absolute path", name));
}

}  // namespace eagle::ssi
