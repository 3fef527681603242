#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace eagle::base {

/// A fixed number of threads that run tasks in the order they were posted. For work that blocks on
/// the disk, so that it stays off gRPC's and libtorrent's threads. Thread-safe.
///
/// The destructor runs what was posted before it, then joins; tasks must therefore end by
/// themselves.
class ThreadPool {
 public:
  explicit ThreadPool(std::size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Never blocks; the queue is unbounded, so callers bound what they have in flight.
  void Post(std::function<void()> task);

 private:
  void Run();

  absl::Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace eagle::base
