#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"
#include "lib/base/units.h"

namespace eagle::config {

class Section;

/// A YAML configuration being read. Every problem in it (syntax, unknown or repeated key, wrong
/// type, value out of range) is collected and reported together by Finish(), each as
/// "file:line:column: key: problem". Not thread-safe.
class Document {
 public:
  /// A syntax error is already reported here. An empty text is an empty map.
  static absl::StatusOr<Document> Parse(const std::string& text, const std::string& file_name);
  static absl::StatusOr<Document> Load(const std::string& path);

  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();

  /// The top-level map. Valid while the document lives.
  Section Root();

  /// OK, or INVALID_ARGUMENT with all problems, one a line. A key that nobody asked for is one.
  absl::Status Finish();

 private:
  friend class Section;
  struct State;
  explicit Document(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// One map of the document. The getters leave `*out` alone when the key is absent, so that defaults
/// live in the caller's struct and nowhere else; what is wrong goes to the document's problems.
class Section {
 public:
  void String(std::string_view key, std::string* out);
  void Bool(std::string_view key, bool* out);
  void Int(std::string_view key, std::int64_t* out, std::int64_t min, std::int64_t max);
  void Port(std::string_view key, std::uint16_t* out);
  void Size(std::string_view key, base::ByteSize* out);
  void Rate(std::string_view key, base::ByteRate* out);
  void Duration(std::string_view key, std::chrono::milliseconds* out);
  /// A sequence of scalars.
  void Strings(std::string_view key, std::vector<std::string>* out);
  /// One of `allowed`.
  void Enum(std::string_view key, std::string* out, const std::vector<std::string>& allowed);

  /// A map with known keys.
  void Map(std::string_view key, const std::function<void(Section&)>& read);
  /// A map whose keys are names: `read` is called for each in the order of the file.
  void Table(std::string_view key, const std::function<void(const std::string&, Section&)>& read);
  /// A map from names that are not known here to scalars; it replaces what `*out` holds.
  void StringMap(std::string_view key, std::map<std::string, std::string>* out);
  /// A sequence of maps.
  void List(std::string_view key, const std::function<void(Section&)>& read);

  [[nodiscard]] bool Has(std::string_view key) const;
  /// Reports a problem with the value of `key` (or with the map itself when it is absent).
  void Problem(std::string_view key, const std::string& message);

 private:
  friend class Document;
  struct Node;
  Section(Document::State* state, std::shared_ptr<Node> node);

  template <typename Parse>
  void Scalar(std::string_view key, const Parse& parse);

  Document::State* state_;
  std::shared_ptr<Node> node_;
};

}  // namespace eagle::config
