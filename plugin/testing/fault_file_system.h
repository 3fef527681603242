#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"
#include "plugin/file_system.h"

namespace eagle::plugin::testing {

/// A disk that fails when it is told to, and remembers what of it would outlast a loss of power.
/// The bytes are on the host's file system, below `root`. Not thread-safe.
///
/// What is durable is what POSIX promises and no more: the bytes that a file had at its last sync,
/// and the names that a folder had at its own, if its own name is durable.
class FaultDisk {
 public:
  enum class Fault {
    /// The call fails and changes nothing.
    kNoSpace,
    kIoError,
    /// A write takes half of the data; the next one fails for want of space.
    kShortWrite,
    /// Power is lost: this call and all after it fail and change nothing.
    kPowerLoss,
  };
  /// What a loss of power leaves of what was not synced.
  enum class Loss {
    /// Neither names nor bytes.
    kEverything,
    /// All names, and zeros in place of bytes.
    kZeros,
    /// All names, and zeros in files that are not small: those had been written by then.
    kLargeZeros,
    /// All names, and files cut off half-way through what was not synced.
    kTails,
    /// Only the process died.
    kNothing,
  };

  explicit FaultDisk(std::string root) : root_(std::move(root)) {}

  /// For one store at a time. The disk must outlive it.
  std::unique_ptr<FileSystem> Connect();

  /// The `n`th call from now on (counted from 0) meets `fault`.
  void FailAt(std::int64_t n, Fault fault);
  /// From now on nothing fails.
  void Heal();
  /// Links cannot be made here, as between two mounts.
  void ForbidLinks() { links_ = false; }
  [[nodiscard]] std::int64_t calls() const { return calls_; }
  /// Whether the fault has been met, and by which call ("sync /path").
  [[nodiscard]] const std::optional<std::string>& failed() const { return failed_; }

  /// Makes the host's files what a loss of power leaves. No store may be open.
  void LosePower(Loss loss);

  /// The calls so far that changed or synced something, as "rename /from /to".
  [[nodiscard]] const std::vector<std::string>& journal() const { return journal_; }
  /// The bytes of this file are durable, all of them.
  [[nodiscard]] bool IsSynced(const std::string& path) const;

 private:
  class System;
  struct Entry {
    bool folder = false;
    std::uint64_t inode = 0;
  };

  // True when the call must fail; errno is set then.
  bool Fails(const std::string& call);
  void OnSync(int fd);
  void SyncNames(const std::string& folder);
  [[nodiscard]] bool IsDurable(const std::string& path) const;
  void Rebuild(const std::map<std::string, std::optional<std::string>>& files) const;

  const std::string root_;
  bool links_ = true;
  std::int64_t calls_ = 0;
  std::int64_t fail_at_ = -1;
  Fault fault_ = Fault::kIoError;
  bool dead_ = false;
  std::optional<std::string> failed_;
  std::vector<std::string> journal_;

  // By inode: the bytes at the last sync.
  std::map<std::uint64_t, std::string> durable_bytes_;
  // By path: what a synced folder has.
  std::map<std::string, Entry> durable_names_;
  std::vector<base::UniqueFd> pins_;
};

}  // namespace eagle::plugin::testing
