#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace eagle::base {

/// The same code, with "<context>: " before the message. OK stays OK.
[[nodiscard]] absl::Status Annotate(const absl::Status& status, std::string_view context);

/// The error for a failed system call: the code fits `error_number` (ENOENT is NOT_FOUND, ENOSPC is
/// RESOURCE_EXHAUSTED, EACCES is PERMISSION_DENIED, else INTERNAL), the message is
/// "<context>: <strerror>".
[[nodiscard]] absl::Status ErrnoError(int error_number, std::string_view context);

/// A status' message as std::string_view (absl has a string_view type of its own here).
[[nodiscard]] inline std::string_view Message(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace eagle::base

#define EAGLE_CONCAT_INNER(a, b) a##b
#define EAGLE_CONCAT(a, b) EAGLE_CONCAT_INNER(a, b)

/// Returns from the enclosing function when `expression` is a status other than OK.
#define EAGLE_RETURN_IF_ERROR(expression)                                 \
  do {                                                                    \
    if (::absl::Status eagle_status = (expression); !eagle_status.ok()) { \
      return eagle_status;                                                \
    }                                                                     \
  } while (false)

/// `EAGLE_ASSIGN_OR_RETURN(auto file, Open(path));` returns the error or assigns the value.
#define EAGLE_ASSIGN_OR_RETURN(target, expression) \
  EAGLE_ASSIGN_OR_RETURN_INNER(EAGLE_CONCAT(eagle_result_, __LINE__), target, expression)
#define EAGLE_ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                                    \
  if (!result.ok()) return result.status();                      \
  target = std::move(result).value()
