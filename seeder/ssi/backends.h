#pragma once

#include <map>
#include <memory>
#include <string>

#include "lib/base/status.h"
#include "seeder/ssi/backend.h"

namespace eagle::ssi {

/// The back end of that name: "fs" (option `directory`), "s3" (S3Options), or the absolute path of
/// a shared object. nullptr for "fs" without a directory: nothing is kept beside the seeder's own
/// disk. INVALID_ARGUMENT for an unknown name or option, else what opening it says.
absl::StatusOr<std::unique_ptr<Backend>> OpenBackend(
    const std::string& name, const std::map<std::string, std::string>& options);

}  // namespace eagle::ssi
