#pragma once

#include <string>

#include "lib/base/units.h"

namespace eagle::cli {

struct StoreCall {
  /// Content root.
  std::string root = "/var/lib/containerd/io.containerd.content.v1.content";
  bool json = false;
};

/// Each reads the content root itself, whether anything runs or not, prints and returns the exit
/// code: 0, or 1 with the reason on stderr.
int StoreLs(const StoreCall& call);
int StoreDu(const StoreCall& call);
/// 1 when a blob is bad.
int StoreVerify(const StoreCall& call, base::ByteRate rate);

}  // namespace eagle::cli
