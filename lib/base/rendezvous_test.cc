#include "lib/base/rendezvous.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace eagle::base {
namespace {

std::vector<std::string> Named(const std::vector<std::string>& nodes, const std::string& key) {
  std::vector<std::string> names;
  for (std::size_t i : RendezvousOrder(key, nodes)) names.push_back(nodes[i]);
  return names;
}

TEST(Rendezvous, OrderDoesNotDependOnTheListing) {
  std::vector<std::string> nodes = {"a:1", "b:1", "c:1", "d:1"};
  const auto before = Named(nodes, "sha256:1");
  std::reverse(nodes.begin(), nodes.end());
  EXPECT_EQ(Named(nodes, "sha256:1"), before);
}

TEST(Rendezvous, LosingANodeMovesOnlyItsOwnKeys) {
  const std::vector<std::string> three = {"a:1", "b:1", "c:1"};
  const std::vector<std::string> two = {"a:1", "c:1"};
  std::map<std::string, int> share;
  for (int i = 0; i < 3000; ++i) {
    const std::string key = std::to_string(i);
    const auto before = Named(three, key);
    const auto after = Named(two, key);
    ++share[before.front()];
    EXPECT_EQ(after.front(), before.front() == "b:1" ? before[1] : before.front());
  }
  for (const auto& [node, keys] : share) EXPECT_NEAR(keys, 1000, 150) << node;
}

TEST(Rendezvous, NoNodesNoOrder) {
  EXPECT_TRUE(RendezvousOrder("k", {}).empty());
}

}  // namespace
}  // namespace eagle::base
