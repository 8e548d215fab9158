#include "store/script.hpp"

#include <absl/strings/escaping.h>
#include <openssl/sha.h>

#include <array>

namespace holdfast::store {
namespace {

// What EVALSHA looks like on the wire behind the number of arguments.
constexpr std::string_view kEvalSha = "$7\r\nEVALSHA\r\n$40\r\n";
constexpr std::size_t kShaDigits = 40;

std::string sha1(std::string_view text) {
    std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    return std::string{absl::BytesToHexString(
        absl::string_view{reinterpret_cast<const char*>(digest.data()), digest.size()})};
}

}  // namespace

Script::Script(std::string_view source) : source_(source), sha_(sha1(source)) {}

std::string Script::as_eval(std::string_view wire) const {
    const std::size_t count_end = wire.find("\r\n") + 2;
    const std::string_view count = wire.substr(0, count_end);
    const std::string_view arguments = wire.substr(count_end + kEvalSha.size() + kShaDigits);
    std::string eval{count};
    eval += "$4\r\nEVAL\r\n$" + std::to_string(source_.size()) + "\r\n";
    eval += source_;
    eval += arguments;
    return eval;
}

std::string_view without_flags(std::string_view source) {
    return source.starts_with("#!") ? source.substr(source.find('\n') + 1) : source;
}

}  // namespace holdfast::store
