#pragma once

#include <grpcpp/support/status.h>

#include <string>

namespace eagle::cli {

inline constexpr char kSeederAdmin[] = "unix:/var/lib/eagle-seeder/admin.sock";

struct SeederCall {
  /// Where the seeder serves eagle.seeder.v1.
  std::string address = kSeederAdmin;
  bool json = false;
  /// Of SeederRm().
  bool from_backend = false;
};

/// Each asks the running seeder, prints what it says and returns the exit code: 0, or 1 with the
/// reason on stderr.
int SeederLs(const SeederCall& call, const std::string& digest_prefix);
int SeederRm(const SeederCall& call, const std::string& digest);
int SeederPin(const SeederCall& call, const std::string& digest);
int SeederUnpin(const SeederCall& call, const std::string& digest);
int SeederStatus(const SeederCall& call);

/// Says on stderr why a seeder did not do it, and what may help; returns kFailed.
int SeederFailed(const std::string& address, const grpc::Status& status);

}  // namespace eagle::cli
