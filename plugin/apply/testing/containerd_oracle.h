#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "lib/testing/temp_dir.h"
#include "plugin/apply/pipeline.h"

namespace eagle::apply::testing {

/// A containerd with a root of its own, whose applier tells what is right. Needs root. The program
/// is $EAGLE_CONTAINERD, that of `make tools`, or the installed one.
class ContainerdOracle {
 public:
  /// UNAVAILABLE when there is none or it does not start.
  static absl::StatusOr<std::unique_ptr<ContainerdOracle>> Start();
  ~ContainerdOracle();

  [[nodiscard]] const std::string& program() const { return program_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

  /// Puts the blob into its store and applies it; digest and size of the result.
  absl::StatusOr<ApplyResult> Apply(const std::string& blob, const std::string& media_type,
                                    const std::vector<Mount>& mounts);
  /// The same for a blob of `size_bytes` that an earlier call has put there.
  absl::StatusOr<ApplyResult> ApplyStored(const std::string& digest, std::size_t size_bytes,
                                          const std::string& media_type,
                                          const std::vector<Mount>& mounts);

 private:
  struct Stubs;

  ContainerdOracle();
  absl::Status Launch();
  absl::Status Upload(const std::string& blob, const std::string& digest);

  eagle::testing::TempDir dir_;
  std::string program_;
  bool mounted_ = false;
  pid_t pid_ = -1;
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace eagle::apply::testing
