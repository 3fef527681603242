#pragma once

#include <string>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"
#include "plugin/apply/cancellation.h"
#include "plugin/apply/pipeline.h"

namespace eagle::apply {

/// Unpacks layers. Thread-safe; blocks.
class Applier {
 public:
  virtual ~Applier() = default;

  /// As ApplyLayer().
  virtual absl::StatusOr<ApplyResult> Apply(const ApplyRequest& request, int blob,
                                            const Cancellation& cancellation) = 0;
};

struct WorkerOptions {
  /// A program that calls RunApplyWorker() first.
  std::string program = "/proc/self/exe";
  /// Where empty folders for mounts are made; "" is $XDG_RUNTIME_DIR, else the temporary folder.
  std::string mount_root = "";
};

/// Unpacks each layer in a process of its own: whatever a layer does to it, the store lives on. The
/// worker is killed on cancellation and when the thread that waits for it ends. Its death is
/// INTERNAL.
class WorkerClient final : public Applier {
 public:
  explicit WorkerClient(WorkerOptions options) : options_(std::move(options)) {}

  absl::StatusOr<ApplyResult> Apply(const ApplyRequest& request, int blob,
                                    const Cancellation& cancellation) override;

 private:
  WorkerOptions options_;
};

}  // namespace eagle::apply
