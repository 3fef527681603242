#include "lib/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>

namespace eagle::base {
namespace {

TEST(ThreadPool, RunsEverythingPostedBeforeItsEnd) {
  std::atomic<int> done{0};
  {
    ThreadPool pool(3);
    for (int i = 0; i < 1000; ++i) pool.Post([&done] { ++done; });
  }
  EXPECT_EQ(done, 1000);
}

TEST(ThreadPool, RunsTasksAtTheSameTime) {
  std::barrier both(2);
  std::atomic<int> met{0};
  {
    ThreadPool pool(2);
    for (int i = 0; i < 2; ++i) {
      pool.Post([&] {
        both.arrive_and_wait();
        ++met;
      });
    }
  }
  EXPECT_EQ(met, 2);
}

}  // namespace
}  // namespace eagle::base
