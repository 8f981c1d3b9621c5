#include "server/npy.h"

#include <gtest/gtest.h>

namespace dbrx {
namespace {

// What NumPy 2.4's save() writes of [[[1, 2], [3, 250]]], without its spaces.
std::string without_spaces(std::string file) {
  std::erase(file, ' ');
  return file;
}

TEST(Npy, WritesWhatNumpyDoes) {
  const std::vector<uint16_t> values = {1, 2, 3, 250};
  const std::string narrow = npy_file(values, {1, 2, 2}, 255);
  EXPECT_EQ(narrow.size(), 128U + 4);
  EXPECT_EQ(narrow.substr(124), std::string("   \n\1\2\3\xFA"));
  EXPECT_EQ(without_spaces(narrow.substr(0, 127)),
            std::string("\x93NUMPY\1\0v\0"
                        "{'descr':'|u1','fortran_order':False,'shape':(1,2,2),}",
                        64));
  const std::string wide = npy_file(values, {1, 2, 2}, 256);
  EXPECT_EQ(wide.substr(127), std::string("\n\1\0\2\0\3\0\xFA\0", 9));
  EXPECT_NE(wide.find("'descr': '<u2'"), std::string::npos);
}

TEST(Npy, AlignsTheValuesWhateverTheShape) {
  for (const size_t n : {0, 1, 9, 10, 99, 100, 12345}) {
    const std::string file = npy_file(std::vector<uint16_t>(n), {n, 1, 1}, 1);
    EXPECT_EQ((file.size() - n) % 64, 0U);
    EXPECT_EQ(file[file.size() - n - 1], '\n');
    EXPECT_EQ(static_cast<size_t>(file[8]) + 10, file.size() - n);
  }
}

TEST(Npy, EncodesTheExamplesOfRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foob"), "Zm9vYg==");
  EXPECT_EQ(base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xFB\xFF\xFE"), "+//+");
}

}  // namespace
}  // namespace dbrx
