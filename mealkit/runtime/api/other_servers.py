"""Parameters of vLLM, llama.cpp and older clients that no kit supports, with their neutral values.

Clients that were written for these servers send them with every request. A value that changes
nothing counts as left out; any other would change the answer, and is refused by name. So a
parameter that only adjusts a refused one, such as ``xtc_threshold``, may have any value.
"""

from collections.abc import Mapping

from mealkit.runtime.api.reading import RefusedParameter

_ONE = (1, 1.0)
_ZERO = (0, 0.0)
_END = "an answer ends at the model's end token, at stop, or at max_tokens"
_FORM = "a kit supports JSON Schemas"
_USE_FORM = "use response_format"
_SAMPLING = "a kit does not support this way of sampling"

OF_OTHER_SERVERS: Mapping[str, RefusedParameter] = {
    "allowed_token_ids": RefusedParameter(_SAMPLING, hint="use logit_bias"),
    "bad_words": RefusedParameter(_SAMPLING, ([],), "use logit_bias"),
    "chat_template": RefusedParameter("the kit pins its chat template"),
    "chat_template_kwargs": RefusedParameter("the kit pins its chat template", ({},)),
    "documents": RefusedParameter("the chat template gets only the messages", ([],)),
    "dry_allowed_length": RefusedParameter(_SAMPLING, only_with="dry_multiplier"),
    "dry_base": RefusedParameter(_SAMPLING, only_with="dry_multiplier"),
    "dry_multiplier": RefusedParameter(_SAMPLING, _ZERO),
    "dry_penalty_last_n": RefusedParameter(_SAMPLING, only_with="dry_multiplier"),
    "dry_sequence_breakers": RefusedParameter(_SAMPLING, only_with="dry_multiplier"),
    "dynatemp_exponent": RefusedParameter(_SAMPLING, only_with="dynatemp_range"),
    "dynatemp_range": RefusedParameter(_SAMPLING, _ZERO),
    "early_stopping": RefusedParameter(_SAMPLING, (False,)),
    "grammar": RefusedParameter(_FORM, ("",), _USE_FORM),
    "guided_choice": RefusedParameter(_FORM, hint=_USE_FORM),
    "guided_grammar": RefusedParameter(_FORM, hint=_USE_FORM),
    "guided_json": RefusedParameter("this is an old name of response_format", hint=_USE_FORM),
    "guided_regex": RefusedParameter(_FORM, hint=_USE_FORM),
    "id_slot": RefusedParameter("the kit shares out its engine", (-1,)),
    "ignore_eos": RefusedParameter(_END, (False,)),
    "include_reasoning": RefusedParameter("the answer is returned whole", (True,)),
    "include_stop_str_in_output": RefusedParameter("stop texts are cut off", (False,)),
    "length_penalty": RefusedParameter(_SAMPLING, _ONE),
    "logits_processors": RefusedParameter(_SAMPLING, ([],), "use logit_bias"),
    "lora": RefusedParameter("the kit pins its weights", ([],)),
    "min_keep": RefusedParameter(_SAMPLING, (0,)),
    "min_tokens": RefusedParameter(_END, (0,)),
    "mirostat": RefusedParameter(_SAMPLING, (0,)),
    "mirostat_eta": RefusedParameter(_SAMPLING, only_with="mirostat"),
    "mirostat_tau": RefusedParameter(_SAMPLING, only_with="mirostat"),
    "mm_processor_kwargs": RefusedParameter("a kit accepts only text", ({},)),
    "n_keep": RefusedParameter("prompts are never truncated", (0,)),
    "n_predict": RefusedParameter("this is another name of max_tokens", (-1,), "use max_tokens"),
    "n_probs": RefusedParameter("this is another name of logprobs", (0,), "use logprobs"),
    "parse_tool_calls": RefusedParameter("calls are always returned as calls", (True,)),
    "post_sampling_probs": RefusedParameter("answers have no such field", (False,)),
    "priority": RefusedParameter("all requests have the same priority", (0,)),
    "prompt_logprobs": RefusedParameter("only the answer's tokens have probabilities"),
    "reasoning_format": RefusedParameter("the answer is returned whole", ("auto", "none")),
    "repeat_last_n": RefusedParameter("penalties count the whole text", (-1,)),
    "repeat_penalty": RefusedParameter(
        "this is another name of repetition_penalty", _ONE, "use repetition_penalty"
    ),
    "return_progress": RefusedParameter("answers have no such field", (False,)),
    "return_token_ids": RefusedParameter("answers are text", (False,), "use logprobs"),
    "return_tokens_as_token_ids": RefusedParameter("answers are text", (False,)),
    "samplers": RefusedParameter("the order of sampling is the same for all kits"),
    "skip_special_tokens": RefusedParameter("special tokens are not text", (True,)),
    "spaces_between_special_tokens": RefusedParameter("special tokens are not text", (True,)),
    "stop_token_ids": RefusedParameter(_END, ([],), "use stop"),
    "structured_outputs": RefusedParameter(_FORM, ({},), _USE_FORM),
    "tfs_z": RefusedParameter(_SAMPLING, _ONE),
    "timings_per_token": RefusedParameter("the kit's metrics have the times", (False,)),
    "top_n_sigma": RefusedParameter(_SAMPLING, (-1, -1.0)),
    "truncate_prompt_tokens": RefusedParameter("prompts are never truncated"),
    "typ_p": RefusedParameter(_SAMPLING, _ONE),
    "typical_p": RefusedParameter(_SAMPLING, _ONE),
    "use_beam_search": RefusedParameter(_SAMPLING, (False,)),
    "xtc_probability": RefusedParameter(_SAMPLING, _ZERO),
    "xtc_threshold": RefusedParameter(_SAMPLING, only_with="xtc_probability"),
}
