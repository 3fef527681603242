#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace eagle::ssi {

/// Texts between <name> and </name>, in their order, with XML's five entities resolved: as much of
/// XML as the answers of S3 need, whose elements carry no attributes below the root and never nest
/// in one of the same name.
std::vector<std::string> XmlTexts(std::string_view xml, std::string_view name);
/// The first one.
std::optional<std::string> XmlText(std::string_view xml, std::string_view name);

}  // namespace eagle::ssi
