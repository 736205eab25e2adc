#pragma once

#include <string>
#include <string_view>

#include "wire/chat.h"

// The fields of a request body that say what kind of answer is wanted: how many, in which form,
// with which tools and numbers. Part of ParseGenerateRequest. Errors name "body.<field>".
namespace inferq::wire {

base::Result<> ReadChoices(std::string_view field, JsonValue value, GenerateRequest& request);
base::Result<> ReadBestOf(std::string_view field, JsonValue value, GenerateRequest& request);
base::Result<> ReadLogprobs(std::string_view field, JsonValue value, GenerateRequest& request);
base::Result<> ReadTopLogprobs(std::string_view field, JsonValue value, GenerateRequest& request);
base::Result<> ReadLogitBias(std::string_view field, JsonValue value, GenerateRequest& request);
base::Result<> ReadTools(std::string_view field, JsonValue value, GenerateRequest& request);
base::Result<> ReadToolChoice(std::string_view field, JsonValue value, GenerateRequest& request);
base::Result<> ReadParallelToolCalls(std::string_view field, JsonValue value,
                                     GenerateRequest& request);
base::Result<> ReadResponseFormat(std::string_view field, JsonValue value,
                                  GenerateRequest& request);
base::Result<> ReadGrammar(std::string_view field, JsonValue value, GenerateRequest& request);

/// Of a message: tool_calls of an assistant, tool_call_id, name.
base::Result<> ReadToolFields(const std::string& field, JsonValue value, ChatMessage& message);

/// What can be judged only once all fields are read; leaves the one tool that tool_choice names.
base::Result<> CheckAnswerOptions(GenerateRequest& request);

}  // namespace inferq::wire
