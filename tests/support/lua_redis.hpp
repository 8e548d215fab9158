#pragma once

// A Redis in memory that runs our own scripts, by Lua 5.1 as Redis does: hashes, strings, their expiry,
// TIME, PUBLISH. For tests that decide about time and the fate of each command; single-threaded. What
// redis-server itself does differently is for the integration tests to find.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

struct lua_State;

namespace holdfast::test {

class LuaRedis {
public:
    // `time_us`: what TIME says, in microseconds.
    explicit LuaRedis(std::function<std::int64_t()> time_us);
    ~LuaRedis();
    LuaRedis(const LuaRedis&) = delete;
    LuaRedis& operator=(const LuaRedis&) = delete;

    // Runs one command and gives its reply in RESP.
    std::string execute(const std::vector<std::string>& arguments);

    // Told of each PUBLISH.
    std::function<void(const std::string& channel, const std::string& payload)> on_publish;

    // What INFO says of whom it replaced, when it was promoted.
    std::string replaced = "master_replid2:0";

    // Everything is forgotten, as by FLUSHALL.
    void flush() {
        keys_.clear();
        flushed_ = true;
    }
    // As by a restart without persistence.
    void restart() {
        keys_.clear();
        flushed_ = loaded_ = false;
        started_us_ = time_us_();
    }
    void load(const std::string& script);
    // Changes scripts that are loaded, under their old SHA-1: how often. To plant a fault.
    std::size_t replace_in_scripts(const std::string& text, const std::string& instead);

    using Hash = std::map<std::string, std::string>;
    struct Key {
        Hash hash;
        std::string text;             // of a string
        std::int64_t expires_ms = 0;  // 0: never
        bool operator==(const Key&) const = default;
    };
    // What has not expired.
    const std::map<std::string, Key>& keys();
    // A field of a hash; empty if there is none.
    std::string field(const std::string& key, const std::string& name);
    void set_field(const std::string& key, const std::string& name, const std::string& value);
    Key& key(const std::string& key) { return keys_[key]; }
    void erase(const std::string& key) { keys_.erase(key); }
    // A copy of everything and back: a restored backup.
    std::map<std::string, Key> snapshot() { return keys(); }
    void restore(std::map<std::string, Key> snapshot) {
        keys_ = std::move(snapshot);
        loaded_ = true;
    }

private:
    struct CloseLua {
        void operator()(lua_State* state) const;
    };

    Key* live(const std::string& key);
    std::string eval(const std::string& source, const std::vector<std::string>& arguments);
    std::string hash_command(const std::vector<std::string>& arguments);
    static int call_from_lua(lua_State* lua);
    static int pcall_from_lua(lua_State* lua);
    static int run_from_lua(lua_State* lua, bool raise);

    std::function<std::int64_t()> time_us_;
    std::map<std::string, Key> keys_;
    bool flushed_ = false;
    bool loaded_ = false;  // by DEBUG RELOAD, as far as INFO knows
    std::int64_t started_us_ = 0;
    std::map<std::string, std::string> scripts_;  // by SHA-1
    std::map<std::string, int> compiled_;         // by source: a reference in Lua's registry
    std::unique_ptr<lua_State, CloseLua> lua_;
};

}  // namespace holdfast::test
