#include "seeder/ssi/xml_text.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace eagle::ssi {
namespace {

constexpr std::array<std::pair<std::string_view, char>, 5> kEntities{
    {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}};

std::string Unescape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t taken = 1;
    char c = text.front();
    for (const auto& [entity, plain] : kEntities) {
      if (!text.starts_with(entity)) continue;
      c = plain;
      taken = entity.size();
      break;
    }
    out += c;
    text.remove_prefix(taken);
  }
  return out;
}

}  // namespace

std::vector<std::string> XmlTexts(std::string_view xml, std::string_view name) {
  const std::string begin = fmt::format("<{}>", name);
  const std::string end = fmt::format("</{}>", name);
  std::vector<std::string> texts;
  while (true) {
    const std::size_t first = xml.find(begin);
    if (first == std::string_view::npos) return texts;
    xml.remove_prefix(first + begin.size());
    const std::size_t last = xml.find(end);
    if (last == std::string_view::npos) return texts;
    texts.push_back(Unescape(xml.substr(0, last)));
    xml.remove_prefix(last + end.size());
  }
}

std::optional<std::string> XmlText(std::string_view xml, std::string_view name) {
  std::vector<std::string> texts = XmlTexts(xml, name);
  if (texts.empty()) return std::nullopt;
  return std::move(texts.front());
}

}  // namespace eagle::ssi
