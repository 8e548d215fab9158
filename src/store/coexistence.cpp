#include "store/coexistence.hpp"

namespace holdfast::store {
namespace {

constexpr std::string_view kArrow = "=>";

}  // namespace

tl::expected<Coexistence, std::string> Coexistence::parse(const std::vector<std::string>& rules,
                                                          std::string_view prefix) {
    Coexistence parsed;
    for (const std::string& text : rules) {
        const auto arrow = text.find(kArrow);
        Rule rule{text.substr(0, arrow),
                  arrow == std::string::npos ? text : text.substr(arrow + kArrow.size())};
        if (!core::is_clean_utf8(text)) {
            return tl::unexpected(std::string{"has control characters"});
        }
        // Else some name's plain key would be another's record.
        if (rule.keys.starts_with(prefix) || prefix.starts_with(rule.keys)) {
            return tl::unexpected("has \"" + text + "\": plain keys that begin with \"" +
                                  rule.keys +
                                  "\" could be Holdfast's own, which begin with store.prefix, \"" +
                                  std::string{prefix} + "\"; change one of them");
        }
        parsed.rules_.push_back(std::move(rule));
    }
    return parsed;
}

std::optional<std::string> Coexistence::find(const std::string& name) const {
    for (const Rule& rule : rules_) {
        if (name.starts_with(rule.names)) {
            return rule.keys + name.substr(rule.names.size());
        }
    }
    return std::nullopt;
}

std::vector<std::string> Coexistence::key_prefixes() const {
    std::vector<std::string> prefixes;
    for (const Rule& rule : rules_) {
        prefixes.push_back(rule.keys);
    }
    return prefixes;
}

}  // namespace holdfast::store
