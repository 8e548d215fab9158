#include "support/lua_redis.hpp"

#include "redis/reply.hpp"
#include "store/script.hpp"

#include <algorithm>
#include <cstdio>
#include <lua.hpp>
#include <stdexcept>

namespace holdfast::test {
namespace {

using Arguments = std::vector<std::string>;

std::string error(const std::string& text) {
    return "-" + text + "\r\n";
}
std::string integer(std::int64_t value) {
    return ":" + std::to_string(value) + "\r\n";
}
std::string bulk(const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}
std::string nil() {
    return "$-1\r\n";
}
std::string array(const std::vector<std::string>& elements) {
    std::string all = "*" + std::to_string(elements.size()) + "\r\n";
    for (const std::string& element : elements) {
        all += element;
    }
    return all;
}

// A RESP value as Lua sees it.
void push(lua_State* lua, const redis::Value& value) {
    if (value.is_integer()) {
        lua_pushnumber(lua, static_cast<lua_Number>(value.integer()));
    } else if (value.is_error()) {
        lua_newtable(lua);
        lua_pushlstring(lua, value.text().data(), value.text().size());
        lua_setfield(lua, -2, "err");
    } else if (value.is_string()) {
        lua_pushlstring(lua, value.text().data(), value.text().size());
    } else if (value.is_array()) {
        lua_newtable(lua);
        for (std::size_t i = 0; i < value.size(); ++i) {
            push(lua, value[i]);
            lua_rawseti(lua, -2, static_cast<int>(i + 1));
        }
    } else {
        lua_pushboolean(lua, 0);
    }
}

std::string text_at(lua_State* lua, int index) {
    std::size_t length = 0;
    const char* text = lua_tolstring(lua, index, &length);
    return {text, length};
}

// The Lua value on top as RESP, by Redis' rules.
std::string take(lua_State* lua) {
    std::string resp;
    switch (lua_type(lua, -1)) {
        case LUA_TNUMBER:
            resp = integer(static_cast<std::int64_t>(lua_tonumber(lua, -1)));
            break;
        case LUA_TSTRING:
            resp = bulk(text_at(lua, -1));
            break;
        case LUA_TBOOLEAN:
            resp = lua_toboolean(lua, -1) != 0 ? integer(1) : nil();
            break;
        case LUA_TTABLE: {
            std::vector<std::string> elements;
            for (int i = 1;; ++i) {
                lua_rawgeti(lua, -1, i);
                if (lua_isnil(lua, -1)) {
                    lua_pop(lua, 1);
                    break;
                }
                elements.push_back(take(lua));
            }
            resp = array(elements);
            break;
        }
        default:
            resp = nil();
    }
    lua_pop(lua, 1);
    return resp;
}

redis::Reply parse(const std::string& resp) {
    redis::ReplyReader reader;
    bool broken = !reader.feed(resp);
    auto reply = reader.next(broken);
    if (broken || !reply) {
        throw std::logic_error("LuaRedis made no RESP of: " + resp);
    }
    return std::move(*reply);
}

void set_table(lua_State* lua, const char* name, const Arguments& values) {
    lua_newtable(lua);
    for (std::size_t i = 0; i < values.size(); ++i) {
        lua_pushlstring(lua, values[i].data(), values[i].size());
        lua_rawseti(lua, -2, static_cast<int>(i + 1));
    }
    lua_setglobal(lua, name);
}

}  // namespace

void LuaRedis::CloseLua::operator()(lua_State* state) const {
    lua_close(state);
}

LuaRedis::LuaRedis(std::function<std::int64_t()> time_us)
    : time_us_(std::move(time_us)), lua_(luaL_newstate()) {
    lua_State* lua = lua_.get();
    luaL_openlibs(lua);
    lua_newtable(lua);
    lua_pushlightuserdata(lua, this);
    lua_pushcclosure(lua, call_from_lua, 1);
    lua_setfield(lua, -2, "call");
    lua_pushlightuserdata(lua, this);
    lua_pushcclosure(lua, pcall_from_lua, 1);
    lua_setfield(lua, -2, "pcall");
    lua_setglobal(lua, "redis");
}

LuaRedis::~LuaRedis() = default;

int LuaRedis::call_from_lua(lua_State* lua) {
    return run_from_lua(lua, true);
}

int LuaRedis::pcall_from_lua(lua_State* lua) {
    return run_from_lua(lua, false);
}

int LuaRedis::run_from_lua(lua_State* lua, bool raise) {
    auto* self = static_cast<LuaRedis*>(lua_touserdata(lua, lua_upvalueindex(1)));
    bool failed = false;
    {
        Arguments arguments;
        for (int i = 1; i <= lua_gettop(lua); ++i) {
            if (lua_type(lua, i) == LUA_TNUMBER) {  // as Redis: 17 significant digits
                char digits[64];
                std::snprintf(digits, sizeof(digits), "%.17g", lua_tonumber(lua, i));
                arguments.emplace_back(digits);
            } else {
                arguments.push_back(text_at(lua, i));
            }
        }
        const redis::Reply reply = parse(self->execute(arguments));
        failed = raise && reply->is_error();
        if (failed) {
            lua_pushlstring(lua, reply->text().data(), reply->text().size());
        } else {
            push(lua, reply.value());
        }
    }
    return failed ? lua_error(lua) : 1;  // which does not return, so no C++ object may live here
}

std::string LuaRedis::eval(const std::string& source, const Arguments& arguments) {
    lua_State* lua = lua_.get();
    const auto count = static_cast<std::size_t>(std::stoul(arguments[2]));
    const auto keys = arguments.begin() + 3;
    const auto values = keys + static_cast<std::ptrdiff_t>(count);
    set_table(lua, "KEYS", {keys, values});
    set_table(lua, "ARGV", {values, arguments.end()});
    auto found = compiled_.find(source);
    if (found == compiled_.end()) {
        const std::string_view body = store::without_flags(source);
        if (luaL_loadbuffer(lua, body.data(), body.size(), "@script") != 0) {
            return error("ERR Error compiling script: " + text_at(lua, -1));
        }
        found = compiled_.emplace(source, luaL_ref(lua, LUA_REGISTRYINDEX)).first;
    }
    lua_rawgeti(lua, LUA_REGISTRYINDEX, found->second);
    if (lua_pcall(lua, 0, 1, 0) != 0) {
        const std::string text = text_at(lua, -1);
        lua_pop(lua, 1);
        return error(text);
    }
    return take(lua);
}

LuaRedis::Key* LuaRedis::live(const std::string& key) {
    const auto found = keys_.find(key);
    if (found == keys_.end()) {
        return nullptr;
    }
    if (found->second.expires_ms > 0 && found->second.expires_ms <= time_us_() / 1000) {
        keys_.erase(found);
        return nullptr;
    }
    return &found->second;
}

std::string LuaRedis::hash_command(const Arguments& arguments) {
    const std::string& name = arguments[0];
    Key* key = live(arguments[1]);
    const auto get = [&](const std::string& field) {
        const auto found = key != nullptr ? key->hash.find(field) : Hash::iterator{};
        return key != nullptr && found != key->hash.end() ? bulk(found->second) : nil();
    };
    if (name == "HGET") {
        return get(arguments[2]);
    }
    if (name == "HEXISTS") {
        return integer(key != nullptr && key->hash.contains(arguments[2]) ? 1 : 0);
    }
    std::vector<std::string> elements;
    if (name == "HMGET") {
        std::transform(arguments.begin() + 2, arguments.end(), std::back_inserter(elements), get);
        return array(elements);
    }
    if (name == "HKEYS") {
        for (const auto& [field, value] : key != nullptr ? key->hash : Hash{}) {
            elements.push_back(bulk(field));
        }
        return array(elements);
    }
    if (name == "HGETALL") {
        if (key != nullptr) {
            for (const auto& [field, value] : key->hash) {
                elements.push_back(bulk(field));
                elements.push_back(bulk(value));
            }
        }
        return array(elements);
    }
    if (name == "HSET") {
        Hash& hash = keys_[arguments[1]].hash;
        for (std::size_t i = 2; i + 1 < arguments.size(); i += 2) {
            hash[arguments[i]] = arguments[i + 1];
        }
        return integer(1);
    }
    if (name == "HDEL") {
        std::int64_t gone = 0;
        for (std::size_t i = 2; key != nullptr && i < arguments.size(); ++i) {
            gone += static_cast<std::int64_t>(key->hash.erase(arguments[i]));
        }
        if (key != nullptr && key->hash.empty()) {
            keys_.erase(arguments[1]);
        }
        return integer(gone);
    }
    return error("ERR unknown command '" + name + "'");
}

std::string LuaRedis::execute(const Arguments& arguments) {
    const std::string& name = arguments[0];
    if (name == "EVALSHA") {
        const auto script = scripts_.find(arguments[1]);
        return script == scripts_.end() ? error("NOSCRIPT No matching script.")
                                        : eval(script->second, arguments);
    }
    if (name == "EVAL") {
        load(arguments[1]);
        return eval(arguments[1], arguments);
    }
    if (name == "TIME") {
        const std::int64_t now = time_us_();
        return array(
            {bulk(std::to_string(now / 1'000'000)), bulk(std::to_string(now % 1'000'000))});
    }
    if (name == "EXISTS") {
        return integer(live(arguments[1]) != nullptr ? 1 : 0);
    }
    if (name == "INFO") {
        const auto up = (time_us_() - started_us_) / 1'000'000;
        return bulk("uptime_in_seconds:" + std::to_string(up) + "\r\n" + replaced + "\r\n" +
                    (flushed_ ? "cmdstat_flushall:calls=1\r\n" : "") +
                    (loaded_ ? "cmdstat_debug:calls=1\r\n" : ""));
    }
    if (name == "GET") {
        const Key* key = live(arguments[1]);
        if (key != nullptr && !key->hash.empty()) {
            return error("WRONGTYPE Operation against a key holding the wrong kind of value");
        }
        return key != nullptr ? bulk(key->text) : nil();
    }
    if (name == "PTTL") {
        const Key* key = live(arguments[1]);
        const bool ends = key != nullptr && key->expires_ms > 0;
        return integer(key == nullptr ? -2 : ends ? key->expires_ms - time_us_() / 1000 : -1);
    }
    if (name == "DEL") {
        return integer(live(arguments[1]) != nullptr
                           ? static_cast<std::int64_t>(keys_.erase(arguments[1]))
                           : 0);
    }
    if (name == "GETRANGE") {  // the last may be -1: the end
        const Key* key = live(arguments[1]);
        const auto from = static_cast<std::size_t>(std::stoll(arguments[2]));
        const auto last = static_cast<std::size_t>(std::stoll(arguments[3]));
        return bulk(key != nullptr && from < key->text.size()
                        ? key->text.substr(from, last - from + 1)
                        : "");
    }
    if (name == "SET") {
        const bool ends = arguments.size() == 5 && arguments[3] == "PXAT";
        keys_[arguments[1]] = {{}, arguments[2], ends ? std::stoll(arguments[4]) : 0};
        return "+OK\r\n";
    }
    if (name == "PEXPIREAT") {
        if (Key* key = live(arguments[1])) {
            key->expires_ms = std::stoll(arguments[2]);
            return integer(1);
        }
        return integer(0);
    }
    if (name == "PUBLISH") {
        if (on_publish) {
            on_publish(arguments[1], arguments[2]);
        }
        return integer(1);
    }
    return hash_command(arguments);
}

void LuaRedis::load(const std::string& script) {
    scripts_[store::Script{script}.sha()] = script;
}

std::size_t LuaRedis::replace_in_scripts(const std::string& text, const std::string& instead) {
    std::size_t count = 0;
    for (auto& [sha, script] : scripts_) {
        for (std::size_t at = script.find(text); at != std::string::npos;
             at = script.find(text, at + instead.size())) {
            script.replace(at, text.size(), instead);
            ++count;
        }
    }
    return count;
}

const std::map<std::string, LuaRedis::Key>& LuaRedis::keys() {
    std::vector<std::string> all;
    for (const auto& [key, value] : keys_) {
        all.push_back(key);
    }
    for (const std::string& key : all) {
        live(key);
    }
    return keys_;
}

std::string LuaRedis::field(const std::string& key, const std::string& name) {
    const Key* found = live(key);
    const auto field = found != nullptr ? found->hash.find(name) : Hash::const_iterator{};
    return found != nullptr && field != found->hash.end() ? field->second : "";
}

void LuaRedis::set_field(const std::string& key,
                         const std::string& name,
                         const std::string& value) {
    keys_[key].hash[name] = value;
}

}  // namespace holdfast::test
