#pragma once

// What every storage back end must do (backend.h). A test instantiates it:
//
//   INSTANTIATE_TEST_SUITE_P(Fs, BackendContract, ::testing::Values(BackendCase{"fs", open}));

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "lib/testing/temp_dir.h"
#include "seeder/ssi/backend.h"

namespace eagle::ssi {

struct BackendCase {
  std::string name;
  /// An empty back end; nullptr skips the test with a message. Called again with the same folder it
  /// is the same storage.
  std::function<std::unique_ptr<Backend>(const std::string& directory)> open;
  /// Whether its layers are there after it was closed and opened again.
  bool durable = true;
};

inline std::ostream& operator<<(std::ostream& out, const BackendCase& one) {
  return out << one.name;
}

class BackendContract : public ::testing::TestWithParam<BackendCase> {
 protected:
  void SetUp() override;
  absl::Status Put(const std::string& id, const std::string& data,
                   const std::string& metainfo = "torrent");
  absl::StatusOr<std::string> Get(const std::string& id, std::int64_t offset = 0,
                                  std::int64_t size = std::int64_t{1} << 40);
  std::string ListOf(const std::string& prefix);

  testing::TempDir dir_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace eagle::ssi
