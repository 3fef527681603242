#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"
#include "lib/registry/image_name.h"
#include "seeder/preheater.h"

namespace eagle::seeder {

/// Who may send notifications; at least one of the two ways. Files are read for every request, so
/// that a new secret needs no restart; their first line counts.
struct NotificationSecrets {
  /// The whole value of the Authorization header.
  std::string secret_file;
  /// HTTP basic authentication.
  std::string username;
  std::string password_file;
};

struct NotificationAnswer {
  int status = 200;
  /// JSON for 200, else one line of text.
  std::string body;
};

/// What a seeder answers to registries that tell of pushed images, and to Harbor's preheat
/// policies; knows no HTTP. Thread-safe; does not block but for reading the secrets.
///
///   POST /registry/notifications  docker distribution, Harbor's Kraken provider
///   POST /harbor/webhook          Harbor's webhook
///   POST /preheats                Harbor's Dragonfly provider; GET /preheats/<id> is its state
///   GET  /health, /_ping          whether it is there; for everybody
class Notifications {
 public:
  /// `preheater` must outlive it.
  Notifications(Preheater& preheater, NotificationSecrets secrets)
      : preheater_(preheater), secrets_(std::move(secrets)) {}

  struct Head {
    std::string_view method;
    /// Without a query.
    std::string_view path;
    /// Of the Authorization header; "" without one.
    std::string_view authorization;
  };
  /// Before the body is read: status 200 when it is to be read and Answer() to be asked, else the
  /// answer: 401, 404, 405.
  [[nodiscard]] NotificationAnswer Admit(const Head& head) const;

  /// For a request that was admitted: 400 for what is not understood, 403 when a preheat call names
  /// a registry that is not allowed, 503 when the queue is full (the sender tries again). Of an
  /// envelope or webhook, images that are not allowed are logged and left out: an error would make
  /// the sender repeat it for ever, and hold up what comes after.
  NotificationAnswer Answer(const Head& head, std::string_view body);

 private:
  NotificationAnswer Queue(const absl::StatusOr<std::vector<registry::ImageName>>& images);
  NotificationAnswer QueueOne(const absl::StatusOr<registry::ImageName>& image);
  [[nodiscard]] NotificationAnswer StateOf(std::string_view id) const;
  [[nodiscard]] bool Authorized(std::string_view header) const;

  Preheater& preheater_;
  const NotificationSecrets secrets_;
};

}  // namespace eagle::seeder
