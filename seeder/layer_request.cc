#include "seeder/layer_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "lib/registry/blob_url.h"

namespace eagle::seeder {
namespace {

constexpr int kMaxRepositories = 16;

}  // namespace

absl::StatusOr<LayerRequest> LayerRequest::Parse(const metainfo::MetaInfoRequest& message) {
  EAGLE_ASSIGN_OR_RETURN(const registry::BlobUrl url, registry::BlobUrl::Parse(message.url()));
  LayerRequest request{url.registry, {url.repository}, url.digest, std::nullopt};
  if (message.repositories_size() > kMaxRepositories) {
    return absl::InvalidArgumentError(
        fmt::format("at most {} further repositories may be named", kMaxRepositories));
  }
  for (const std::string& repository : message.repositories()) {
    if (!registry::IsRepository(repository)) {
      return absl::InvalidArgumentError("repositories: one is no repository's name");
    }
    std::vector<std::string>& known = request.repositories;
    if (std::find(known.begin(), known.end(), repository) == known.end()) {
      known.push_back(repository);
    }
  }
  if (message.size() < 0) return absl::InvalidArgumentError("size must not be negative");
  if (message.size() > 0) request.size_bytes = message.size();
  return request;
}

metainfo::MetaInfoRequest LayerRequest::ToProto() const {
  metainfo::MetaInfoRequest message;
  message.set_url(url());
  for (std::size_t i = 1; i < repositories.size(); ++i) message.add_repositories(repositories[i]);
  message.set_size(size_bytes.value_or(0));
  return message;
}

std::string LayerRequest::url() const {
  return registry::BlobUrl{registry, repositories.front(), digest}.str();
}

std::string LayerRequest::source() const {
  return fmt::format("{}/{}", registry, repositories.front());
}

bool operator<(const LayerRequest& a, const LayerRequest& b) {
  const auto parts = [](const LayerRequest& request) {
    return std::tuple(request.digest.str(), request.registry, request.repositories,
                      request.size_bytes);
  };
  return parts(a) < parts(b);
}

}  // namespace eagle::seeder
