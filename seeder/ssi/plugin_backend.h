#pragma once

#include <map>
#include <memory>
#include <string>

#include "lib/base/status.h"
#include "seeder/ssi/backend.h"

namespace eagle::ssi {

/// Loads a back end from a shared object (plugin_abi.h) and opens it with `options`. The object
/// stays loaded until the process ends. FAILED_PRECONDITION when it can not be loaded or has
/// another version, else what its open() says.
absl::StatusOr<std::unique_ptr<Backend>> OpenPlugin(
    const std::string& path, const std::map<std::string, std::string>& options);

}  // namespace eagle::ssi
