#include "lib/registry/credentials.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "lib/base/file.h"
#include "lib/registry/credential_helper.h"

namespace eagle::registry {
namespace {

constexpr std::int64_t kMaxPasswordBytes = 64 << 10;

absl::Status Unreadable(const std::string& path, const absl::Status& why) {
  return absl::UnavailableError(fmt::format("{}: {}", path, base::Message(why)));
}

std::vector<CredentialQuery> QueriesOf(const Origin& origin, const std::string& repository) {
  const HttpUrl& endpoint = origin.endpoint;
  std::vector<CredentialQuery> queries{
      {endpoint.host, endpoint.port, endpoint.port == (endpoint.tls ? 443 : 80), repository}};
  if (!origin.is_mirror && !origin.name.empty())
    queries.push_back({origin.name, 0, true, repository});
  return queries;
}

absl::StatusOr<Credential> WithPassword(const CredentialSource& source) {
  auto text = base::ReadFile(source.password_file, kMaxPasswordBytes);
  if (!text.ok()) return Unreadable(source.password_file, text.status());
  Credential credential;
  credential.username = source.username;
  credential.password = text->substr(0, text->find_first_of("\r\n"));
  return credential;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DockerConfig>> Credentials::Load(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return Unreadable(path, base::ErrnoError(errno, "stat"));
  }
  const Version version{
      status.st_ino, status.st_size,
      std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
  const absl::MutexLock held(&mutex_);
  if (const auto it = files_.find(path); it != files_.end() && it->second.version == version) {
    return it->second.config;
  }
  File file{version, nullptr};
  auto text = base::ReadFile(path);
  auto config =
      text.ok() ? DockerConfig::Parse(*text) : absl::StatusOr<DockerConfig>(text.status());
  if (config.ok()) {
    file.config = std::make_shared<const DockerConfig>(*std::move(config));
  } else {
    file.config = Unreadable(path, config.status());
  }
  return files_.insert_or_assign(path, std::move(file)).first->second.config;
}

absl::StatusOr<Credential> Credentials::Find(const Origin& origin, const std::string& repository,
                                             const Cancellation& cancellation) {
  const CredentialSource& source = origin.credentials;
  if (!source.username.empty() && !origin.is_mirror) return WithPassword(source);
  if (source.docker_config.empty()) return Credential();
  EAGLE_ASSIGN_OR_RETURN(const auto config, Load(source.docker_config));
  const std::vector<CredentialQuery> queries = QueriesOf(origin, repository);
  for (const CredentialQuery& query : queries) {
    if (auto credential = config->Find(query)) return *std::move(credential);
  }
  for (const CredentialQuery& query : queries) {
    const auto helper = config->FindHelper(query);
    if (!helper) continue;
    EAGLE_ASSIGN_OR_RETURN(auto credential,
                           AskCredentialHelper(*helper, helper_timeout_, cancellation));
    if (credential) return *std::move(credential);
  }
  return Credential();
}

}  // namespace eagle::registry
