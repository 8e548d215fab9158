#include "redis/access.hpp"

#include "redis/client.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace holdfast::redis {
namespace {

using Content = tl::expected<std::string, std::string>;

// Of a file that may not be set.
Content content_of(std::string_view setting, const std::string& file) {
    if (file.empty()) {
        return {};
    }
    errno = 0;
    std::ifstream stream{file, std::ios::binary};
    std::stringstream text;
    text << stream.rdbuf();
    std::string content = text.str();
    if (content.empty()) {
        return tl::unexpected(std::string{setting} + " " + file +
                              (errno != 0 ? std::string{" cannot be read: "} + std::strerror(errno)
                                          : std::string{" is empty"}));
    }
    return content;
}

// The first line, as editors and `echo` end a file with one.
Content password_in(const std::string& file) {
    Content content = content_of("store.password_file", file);
    if (content) {
        content->resize(std::min(content->size(), content->find_first_of("\r\n")));
        if (content->empty() && !file.empty()) {
            return tl::unexpected("store.password_file " + file + " has an empty first line");
        }
    }
    return content;
}

}  // namespace

std::string Keys::auth_command() const {
    if (password.empty()) {
        return format_command({"PING"});
    }
    return user.empty() ? format_command({"AUTH", password})
                        : format_command({"AUTH", user, password});
}

Access::Access(const Settings& settings) {
    if (const auto loaded = reload(settings); !loaded) {
        throw std::runtime_error(loaded.error());
    }
}

Keys Access::keys() {
    const std::lock_guard lock{mutex_};
    const auto found = read(settings_);
    keys_.outdated = found ? "" : found.error();
    if (found && *found != found_) {
        if (auto made = make(settings_, *found)) {
            keys_ = *std::move(made);
            found_ = *found;
        } else {
            keys_.outdated = made.error();
        }
    }
    return keys_;
}

tl::expected<void, std::string> Access::reload(const Settings& settings) {
    auto found = read(settings);
    if (!found) {
        return tl::unexpected(found.error());
    }
    auto made = make(settings, *found);
    if (!made) {
        return tl::unexpected(made.error());
    }
    const std::lock_guard lock{mutex_};
    // Not all of them: they may refer to this object.
    settings_.user = settings.user;
    settings_.password = settings.password;
    settings_.password_file = settings.password_file;
    settings_.tls = settings.tls;
    found_ = *std::move(found);
    keys_ = *std::move(made);
    return {};
}

tl::expected<Access::Found, std::string> Access::read(const Settings& settings) {
    Found found;
    const std::pair<std::string*, Content> all[] = {
        {&found.password, password_in(settings.password_file)},
        {&found.tls.ca, content_of("store.tls_ca", settings.tls.ca_file)},
        {&found.tls.cert, content_of("store.tls_cert", settings.tls.cert_file)},
        {&found.tls.key, content_of("store.tls_key", settings.tls.key_file)}};
    for (const auto& [place, content] : all) {
        if (!content) {
            return tl::unexpected(content.error());
        }
        *place = *content;
    }
    return found;
}

tl::expected<Keys, std::string> Access::make(const Settings& settings, const Found& found) {
    Keys keys;
    keys.user = settings.user;
    keys.password = settings.password_file.empty() ? settings.password : found.password;
    if (settings.tls.on) {
        auto context = make_tls_context(settings.tls, found.tls);
        if (!context) {
            return tl::unexpected(context.error());
        }
        keys.tls = *std::move(context);
        keys.server_name = settings.tls.server_name;
    }
    return keys;
}

}  // namespace holdfast::redis
