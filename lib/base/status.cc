#include "lib/base/status.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace eagle::base {

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), fmt::format("{}: {}", context, Message(status)));
}

absl::Status ErrnoError(int error_number, std::string_view context) {
  char buffer[128];
  const char* text = strerror_r(error_number, buffer, sizeof buffer);
  const std::string message = fmt::format("{}: {}", context, text);
  switch (error_number) {
    case ENOENT:
      return absl::NotFoundError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(message);
    case EAGAIN:
    case ECONNREFUSED:
    case ETIMEDOUT:
      return absl::UnavailableError(message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace eagle::base
