#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/synchronization/mutex.h"
#include "lib/base/status.h"
#include "lib/registry/blob_source.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/retries.h"

namespace eagle::registry {

/// Fetches the rest of a blob in parts, several at a time, and delivers them in order. Holds at
/// most two parts for each connection in memory. For one Run() by one thread.
class ParallelFetch {
 public:
  struct Plan {
    std::string repository;
    std::string target;
    /// Bytes [begin, end) of a blob of `end` bytes.
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t part_bytes = 0;
    int connections = 2;
  };
  struct End {
    absl::Status status;
    /// The origin does not answer with the ranges that it is asked for.
    bool no_ranges = false;
    /// The caller's doing: deliver() failed or the fetch was cancelled.
    bool stopped = false;
  };
  using Deliver = std::function<absl::Status(std::string_view)>;

  /// `shared` and `cancellation` must outlive it. `deliver` is called from Run()'s thread.
  ParallelFetch(const BlobSource::Shared& shared, Plan plan, const RetryOptions& retries,
                Deliver deliver, Cancellation& cancellation);

  /// Blocks until everything was delivered, or something failed; what was delivered until then is
  /// whole parts.
  End Run();

 private:
  struct Part {
    std::int64_t index = 0;
    std::int64_t first = 0;
    std::int64_t last = 0;
  };

  void Work(Cancellation& cancellation);
  std::optional<Part> Take();
  absl::Status FetchPart(BlobSource& source, const Part& part, std::string* bytes,
                         Cancellation& cancellation);
  absl::Status TakeHead(const ResponseHead& head, const Part& part, std::int64_t first);
  End DeliverAll();
  void Fail(const absl::Status& status);

  const BlobSource::Shared& shared_;
  const Plan plan_;
  const RetryOptions retries_;
  const Deliver deliver_;
  Cancellation& cancellation_;
  const std::int64_t parts_;

  mutable absl::Mutex mutex_;
  std::int64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t delivered_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::int64_t, std::string> ready_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  bool no_ranges_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace eagle::registry
