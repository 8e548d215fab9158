#include <gtest/gtest.h>
TEST(Placeholder, Replaced) {}
