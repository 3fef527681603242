#include "lib/config/reader.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "lib/base/file.h"

namespace eagle::config {

struct Problem {
  int line;
  int column;
  std::string text;
};

struct Document::State {
  std::string file_name;
  YAML::Node root;
  std::vector<Problem> problems;
  std::vector<std::shared_ptr<Section::Node>> sections;

  void Add(const YAML::Mark& mark, const std::string& path, const std::string& message) {
    problems.push_back({mark.line + 1, mark.column + 1,
                        path.empty() ? message : fmt::format("{}: {}", path, message)});
  }
};

struct Section::Node {
  YAML::Node yaml;
  std::string path;
  std::set<std::string, std::less<>> asked;

  [[nodiscard]] std::string Path(std::string_view key) const {
    return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
  }

  // yaml-cpp's operator[] on a mutable node would add the key.
  [[nodiscard]] YAML::Node Find(std::string_view key) const {
    if (!yaml.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
    for (const auto& entry : yaml) {
      if (entry.first.IsScalar() && entry.first.Scalar() == key) return entry.second;
    }
    return YAML::Node(YAML::NodeType::Undefined);
  }
};

Document::Document(std::unique_ptr<State> state) : state_(std::move(state)) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

absl::StatusOr<Document> Document::Parse(const std::string& text, const std::string& file_name) {
  auto state = std::make_unique<State>();
  state->file_name = file_name;
  try {
    state->root = YAML::Load(text);
  } catch (const YAML::Exception& e) {
    return absl::InvalidArgumentError(
        fmt::format("{}:{}:{}: {}", file_name, e.mark.line + 1, e.mark.column + 1, e.msg));
  }
  if (state->root.IsNull()) state->root = YAML::Node(YAML::NodeType::Map);
  if (!state->root.IsMap()) {
    return absl::InvalidArgumentError(
        fmt::format("{}:1:1: the file must be a map of settings (key: value)", file_name));
  }
  return Document(std::move(state));
}

absl::StatusOr<Document> Document::Load(const std::string& path) {
  auto text = base::ReadFile(path, 1 << 20);
  if (!text.ok()) return base::Annotate(text.status(), "config");
  return Parse(*text, path);
}

Section Document::Root() {
  auto node = std::make_shared<Section::Node>();
  node->yaml = state_->root;
  return {state_.get(), std::move(node)};
}

absl::Status Document::Finish() {
  for (const auto& section : state_->sections) {
    std::set<std::string> seen;
    for (const auto& entry : section->yaml) {
      if (!entry.first.IsScalar()) {
        state_->Add(entry.first.Mark(), section->path, "keys must be plain words");
        continue;
      }
      const std::string& key = entry.first.Scalar();
      if (!seen.insert(key).second) {
        state_->Add(entry.first.Mark(), section->Path(key), "is given twice");
      } else if (!section->asked.contains(key)) {
        std::string known;
        for (const std::string& name : section->asked) known += (known.empty() ? "" : ", ") + name;
        state_->Add(entry.first.Mark(), section->Path(key),
                    fmt::format("unknown key; known here: {}", known));
      }
    }
  }
  state_->sections.clear();
  if (state_->problems.empty()) return absl::OkStatus();
  std::stable_sort(state_->problems.begin(), state_->problems.end(),
                   [](const Problem& a, const Problem& b) {
                     return std::pair(a.line, a.column) < std::pair(b.line, b.column);
                   });
  std::string all;
  for (const Problem& problem : state_->problems) {
    if (!all.empty()) all += '\n';
    all +=
        fmt::format("{}:{}:{}: {}", state_->file_name, problem.line, problem.column, problem.text);
  }
  return absl::InvalidArgumentError(all);
}

Section::Section(Document::State* state, std::shared_ptr<Node> node)
    : state_(state), node_(std::move(node)) {
  state_->sections.push_back(node_);
}

template <typename Parse>
void Section::Scalar(std::string_view key, const Parse& parse) {
  node_->asked.emplace(key);
  const YAML::Node value = node_->Find(key);
  if (!value.IsDefined()) return;
  if (!value.IsScalar()) {
    state_->Add(value.Mark(), node_->Path(key), "must be a single value");
    return;
  }
  if (absl::Status status = parse(value.Scalar()); !status.ok()) {
    state_->Add(value.Mark(), node_->Path(key), std::string(base::Message(status)));
  }
}

void Section::String(std::string_view key, std::string* out) {
  Scalar(key, [&](const std::string& text) {
    *out = text;
    return absl::OkStatus();
  });
}

void Section::Bool(std::string_view key, bool* out) {
  Scalar(key, [&](const std::string& text) {
    if (text != "true" && text != "false") {
      return absl::InvalidArgumentError(fmt::format("\"{}\" must be true or false", text));
    }
    *out = text == "true";
    return absl::OkStatus();
  });
}

void Section::Int(std::string_view key, std::int64_t* out, std::int64_t min, std::int64_t max) {
  Scalar(key, [&](const std::string& text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
      return absl::InvalidArgumentError(
          fmt::format("\"{}\" must be a whole number from {} to {}", text, min, max));
    }
    *out = value;
    return absl::OkStatus();
  });
}

void Section::Port(std::string_view key, std::uint16_t* out) {
  std::int64_t value = *out;
  Int(key, &value, 1, 65535);
  *out = static_cast<std::uint16_t>(value);
}

void Section::Size(std::string_view key, base::ByteSize* out) {
  Scalar(key, [&](const std::string& text) {
    EAGLE_ASSIGN_OR_RETURN(*out, base::ByteSize::Parse(text));
    return absl::OkStatus();
  });
}

void Section::Rate(std::string_view key, base::ByteRate* out) {
  Scalar(key, [&](const std::string& text) {
    EAGLE_ASSIGN_OR_RETURN(*out, base::ByteRate::Parse(text));
    return absl::OkStatus();
  });
}

void Section::Duration(std::string_view key, std::chrono::milliseconds* out) {
  Scalar(key, [&](const std::string& text) {
    EAGLE_ASSIGN_OR_RETURN(*out, base::ParseDuration(text));
    return absl::OkStatus();
  });
}

void Section::Strings(std::string_view key, std::vector<std::string>* out) {
  node_->asked.emplace(key);
  const YAML::Node value = node_->Find(key);
  if (!value.IsDefined()) return;
  if (!value.IsSequence()) {
    state_->Add(value.Mark(), node_->Path(key), "must be a list ([a, b] or one \"- item\" a line)");
    return;
  }
  out->clear();
  for (const YAML::Node& item : value) {
    if (item.IsScalar()) {
      out->push_back(item.Scalar());
    } else {
      state_->Add(item.Mark(), node_->Path(key), "list items must be single values");
    }
  }
}

void Section::Enum(std::string_view key, std::string* out,
                   const std::vector<std::string>& allowed) {
  Scalar(key, [&](const std::string& text) {
    if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
      std::string names;
      for (const std::string& name : allowed) names += (names.empty() ? "" : ", ") + name;
      return absl::InvalidArgumentError(fmt::format("\"{}\" must be one of {}", text, names));
    }
    *out = text;
    return absl::OkStatus();
  });
}

void Section::Map(std::string_view key, const std::function<void(Section&)>& read) {
  node_->asked.emplace(key);
  const YAML::Node value = node_->Find(key);
  auto node = std::make_shared<Node>();
  node->path = node_->Path(key);
  node->yaml = YAML::Node(YAML::NodeType::Map);
  if (value.IsDefined() && !value.IsNull()) {
    if (value.IsMap()) {
      node->yaml = value;
    } else {
      state_->Add(value.Mark(), node->path, "must be a map of settings (key: value)");
    }
  }
  Section section(state_, std::move(node));
  read(section);
}

void Section::StringMap(std::string_view key, std::map<std::string, std::string>* out) {
  node_->asked.emplace(key);
  const YAML::Node value = node_->Find(key);
  if (!value.IsDefined() || value.IsNull()) return;
  if (!value.IsMap()) {
    state_->Add(value.Mark(), node_->Path(key), "must be a map from names to values");
    return;
  }
  out->clear();
  for (const auto& entry : value) {
    const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
    const std::string path = fmt::format("{}.{}", node_->Path(key), name);
    if (name.empty() || !entry.second.IsScalar()) {
      state_->Add(entry.second.Mark(), path, "must be a name with one value");
    } else if (!out->emplace(name, entry.second.Scalar()).second) {
      state_->Add(entry.first.Mark(), path, "is given twice");
    }
  }
}

void Section::Table(std::string_view key,
                    const std::function<void(const std::string&, Section&)>& read) {
  node_->asked.emplace(key);
  const YAML::Node value = node_->Find(key);
  if (!value.IsDefined() || value.IsNull()) return;
  if (!value.IsMap()) {
    state_->Add(value.Mark(), node_->Path(key), "must be a map from names to settings");
    return;
  }
  std::set<std::string> seen;
  for (const auto& entry : value) {
    const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
    const std::string path = fmt::format("{}.{}", node_->Path(key), name);
    if (name.empty() || !seen.insert(name).second) {
      state_->Add(entry.first.Mark(), path,
                  name.empty() ? "names must be words" : "is given twice");
      continue;
    }
    auto node = std::make_shared<Node>();
    node->path = path;
    node->yaml = YAML::Node(YAML::NodeType::Map);
    if (entry.second.IsMap()) {
      node->yaml = entry.second;
    } else if (!entry.second.IsNull()) {
      state_->Add(entry.second.Mark(), path, "must be a map of settings (key: value)");
    }
    Section section(state_, std::move(node));
    read(name, section);
  }
}

void Section::List(std::string_view key, const std::function<void(Section&)>& read) {
  node_->asked.emplace(key);
  const YAML::Node value = node_->Find(key);
  if (!value.IsDefined() || value.IsNull()) return;
  if (!value.IsSequence()) {
    state_->Add(value.Mark(), node_->Path(key), "must be a list of maps");
    return;
  }
  std::size_t index = 0;
  for (const YAML::Node& item : value) {
    auto node = std::make_shared<Node>();
    node->path = fmt::format("{}[{}]", node_->Path(key), index++);
    node->yaml = YAML::Node(YAML::NodeType::Map);
    if (item.IsMap()) {
      node->yaml = item;
    } else {
      state_->Add(item.Mark(), node->path, "must be a map of settings (key: value)");
    }
    Section section(state_, std::move(node));
    read(section);
  }
}

bool Section::Has(std::string_view key) const {
  return node_->Find(key).IsDefined();
}

void Section::Problem(std::string_view key, const std::string& message) {
  const YAML::Node value = node_->Find(key);
  const YAML::Mark mark = value.IsDefined() ? value.Mark() : node_->yaml.Mark();
  state_->Add(mark.is_null() ? YAML::Mark{} : mark, node_->Path(key), message);
}

}  // namespace eagle::config
