#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace eagle::plugin {

/// Where containerd found a layer's image, from the distribution.source labels of its manifest.
struct LayerSource {
  /// Host name without port and scheme.
  std::string registry;
  std::string repository;

  friend bool operator==(const LayerSource&, const LayerSource&) = default;
};

/// The operator's rules: which repositories go over P2P. Thread-safe.
class Policy {
 public:
  /// Regular expressions (RE2 syntax). INVALID_ARGUMENT names the one that is wrong.
  static absl::StatusOr<Policy> Create(const std::vector<std::string>& allow,
                                       const std::vector<std::string>& deny);
  Policy(Policy&&) noexcept;
  Policy& operator=(Policy&&) noexcept;
  ~Policy();

  /// Whether "<registry>/<repository>" is matched, in full, by a rule to allow (or there is none)
  /// and by no rule to deny.
  [[nodiscard]] bool Allows(const LayerSource& source) const;

 private:
  struct Rules;
  explicit Policy(std::unique_ptr<Rules> rules);
  std::unique_ptr<Rules> rules_;
};

}  // namespace eagle::plugin
