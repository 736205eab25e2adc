#include "engine/llama/tensor_types.h"

#include <ggml.h>
#include <gtest/gtest.h>

namespace inferq::engine::llama {
namespace {

TEST(TensorTypes, AreThoseOfGgml) {
  for (uint32_t id = 0; id < GGML_TYPE_COUNT; ++id) {
    const auto type = static_cast<ggml_type>(id);
    const auto ours = FindTensorType(id);
    ASSERT_EQ(ours.has_value(), ggml_blck_size(type) > 0) << id;
    if (!ours) continue;
    EXPECT_EQ(ours->name, ggml_type_name(type));
    EXPECT_EQ(ours->block, ggml_blck_size(type)) << ours->name;
    EXPECT_EQ(ours->bytes, ggml_type_size(type)) << ours->name;
  }
  EXPECT_FALSE(FindTensorType(UINT32_MAX));
}

}  // namespace
}  // namespace inferq::engine::llama
