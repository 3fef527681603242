#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "lib/testing/temp_dir.h"
#include "plugin/apply/pipeline.h"

namespace eagle::apply::testing {

/// Folders for an upper and two lower layers, and ways to apply blobs to them. Needs root.
class LayerTest : public ::testing::Test {
 protected:
  LayerTest();
  void SetUp() override;

  /// "<temporary folder>/<name>"
  [[nodiscard]] std::string Path(const std::string& name) const;
  /// In the layer that is unpacked into.
  [[nodiscard]] std::string Upper(const std::string& name) const;

  [[nodiscard]] std::vector<Mount> Overlay() const;
  [[nodiscard]] std::vector<Mount> Bind() const;

  absl::StatusOr<ApplyResult> Apply(const std::string& blob, const std::vector<Mount>& mounts);
  absl::StatusOr<ApplyResult> Apply(const std::string& blob, const ApplyRequest& request);
  void ApplyOk(const std::string& blob, const std::vector<Mount>& mounts);

  static std::optional<struct stat> Stat(const std::string& path);
  static mode_t Mode(const std::string& path);
  static std::string Content(const std::string& path);
  static std::string LinkText(const std::string& path);
  static std::optional<std::string> Xattr(const std::string& path, const std::string& name);
  static bool Exists(const std::string& path) { return Stat(path).has_value(); }

  Cancellation cancellation_;

 private:
  eagle::testing::TempDir dir_;
};

}  // namespace eagle::apply::testing
