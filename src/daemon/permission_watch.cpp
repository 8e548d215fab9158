#include "daemon/permission_watch.hpp"

#include <utility>

namespace holdfast::daemon {

Condition PermissionWatch::judge(Condition found) {
    using Level = Condition::Level;
    const bool ready = found.level == Level::ready;
    if (!ready && !found.why.starts_with("Redis answered:")) {
        again_ = true;
        return found;
    }
    const std::string missing = permissions_.missing();
    if (std::exchange(again_, !ready) || !missing.empty()) {
        permissions_.check(timeout_);
    }
    return missing.empty()
               ? found
               : Condition{
                     Level::down,
                     "the Redis user may not do what is needed (see config/tls.toml): " + missing};
}

}  // namespace holdfast::daemon
