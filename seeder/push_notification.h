#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"
#include "lib/registry/image_name.h"

namespace eagle::seeder {

/// Most images that one notification may name.
inline constexpr std::size_t kMaxNotifiedImages = 100;

// What registries send when an image was pushed, or is to be preheated. Each returns the images
// that it is about, perhaps none: other events are no errors. INVALID_ARGUMENT for what is not JSON
// of that kind, or names an image that could not be. Names of members are taken in any case, as
// senders written in Go do not agree on it.

/// The envelope of docker distribution's notifications (CNCF distribution, "Notifications"), which
/// Harbor's Kraken provider sends too: {"events": [{"action": "push", "target": {"mediaType",
/// "digest", "repository", "tag", "url"}, "request": {"host"}}]}. Only pushes of a tag count: the
/// platforms' manifests of an index are pushed before it by their digests, wanted or not.
absl::StatusOr<std::vector<registry::ImageName>> ParseDistributionEvents(std::string_view body);

/// Harbor's webhook, "Default" or "CloudEvents" format: {"type": "PUSH_ARTIFACT", "event_data":
/// {"resources": [{"digest", "tag", "resource_url"}]}}, or "type": "harbor.artifact.pushed" with
/// "data" instead. An artifact without a tag is left out for the same reason.
absl::StatusOr<std::vector<registry::ImageName>> ParseHarborWebhook(std::string_view body);

/// The call of Harbor's preheat provider for Dragonfly 1: {"type": "image", "url":
/// "https://<registry>/v2/<repository>/manifests/<tag or digest>"}. Its "headers" (the registry's
/// credentials) are ignored.
absl::StatusOr<registry::ImageName> ParsePreheatCall(std::string_view body);

}  // namespace eagle::seeder
