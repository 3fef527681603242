#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace eagle::plugin {

/// The filters of List and ListStatuses, in containerd's grammar (containerd, "filters" package):
///   filter   = selector { "," selector }                   all must hold
///   selector = path [ ("==" | "!=" | "~=") value ]         a path alone: the field is present
///   path     = field { "." field }; a field may be "quoted"
///   value    = characters but "," and space, not beginning with . = ! ~ or a quote; or "quoted";
///              after "~=" also /quoted/ or |quoted|, with the same escapes (Go's)
/// "~=" finds a regular expression (RE2 syntax) anywhere in the value; one that is malformed or too
/// large matches nothing, as in containerd. Thread-safe.
class Filter {
 public:
  /// Value of the field at a path such as {"labels", "a.b/c"}; nullopt when there is none.
  using Fields = std::function<std::optional<std::string>(std::span<const std::string> path)>;

  /// Matches what any one of `expressions` matches; none, or an empty one, matches everything.
  /// INVALID_ARGUMENT for bad syntax, and for more or longer expressions than anybody needs.
  static absl::StatusOr<Filter> Parse(const std::vector<std::string>& expressions);

  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;
  ~Filter();

  [[nodiscard]] bool Matches(const Fields& fields) const;

 private:
  struct Selector;
  using Selectors = std::vector<Selector>;
  Filter();
  std::vector<Selectors> alternatives_;
};

}  // namespace eagle::plugin
