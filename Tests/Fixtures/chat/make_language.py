#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes language.json: what Jinja makes of each part of the language that chat templates use.

    python3 -m pip install jinja2
    python3 make_language.py > language.json

Each row is a template and its text, or null where Jinja refuses it. The environment is the one of
Hugging Face transformers' apply_chat_template, the conversation that of TALK.
"""
import json, sys
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

TALK = [
    {"role": "system", "content": "Short."},
    {"role": "user", "content": "Wetter in Köln?"},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nSunny "},
    {"role": "user", "content": "日本 \"q\""},
]

WEATHER = """{% set tools = [{'type': 'function', 'function': {'name': 'weather', 'description': "The weather's kind",
 'parameters': {'type': 'object', 'properties': {'city': {'type': 'string', 'description': 'A city'},
 'days': {'type': 'integer', 'enum': [1, 2.5, none]}}, 'required': ['city']}}}] %}"""
CALLS = """{% set messages = messages[:2] + [{'role': 'assistant', 'content': '', 'tool_calls': [{'id': 'abc123def',
 'type': 'function', 'function': {'name': 'weather', 'arguments': {'city': 'Köln', 'days': 2}}}]},
 {'role': 'tool', 'name': 'weather', 'tool_call_id': 'abc123def', 'content': '{"sky": "clear"}'}] %}"""

# In the manner of published templates with tools, written for this table.
LLAMA = """{{- bos_token }}
{%- if custom_tools is defined %}{%- set tools = custom_tools %}{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- if tools_in_user_message and not tools is none %}
    {%- if messages | length != 0 %}
        {%- set first_user_message = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("Cannot put tools in the first user message when there's no first user message!") }}
    {%- endif %}
    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' -}}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot_id|>" }}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
QWEN = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
HERMES = """{%- macro json_to_python_type(json_spec) %}
{%- set basic_type_map = {
    "string": "str",
    "number": "float",
    "integer": "int",
    "boolean": "bool"
} %}
{%- if basic_type_map[json_spec.type] is defined %}
    {{- basic_type_map[json_spec.type] }}
{%- elif json_spec.type == "array" %}
    {{- "list[" +  json_to_python_type(json_spec|items) + "]"}}
{%- elif json_spec.type == "object" %}
    {%- if json_spec.additionalProperties is defined %}
        {{- "dict[str, " + json_to_python_type(json_spec.additionalProperties) + ']'}}
    {%- else %}
        {{- "dict" }}
    {%- endif %}
{%- elif json_spec.type is iterable %}
    {{- "Union[" }}
    {%- for t in json_spec.type %}
      {{- json_to_python_type({"type": t}) }}
      {%- if not loop.last %}
        {{- "," }}
    {%- endif %}
    {%- endfor %}
    {{- "]" }}
{%- else %}
    {{- "Any" }}
{%- endif %}
{%- endmacro %}
{{- bos_token }}
{{- "You may call functions: <tools> " }}
{%- for tool in tools or [] %}
    {%- if tool.function is defined %}
        {%- set tool = tool.function %}
    {%- endif %}
    {{- '{"type": "function", "function": ' }}
    {{- '{"name": "' + tool.name + '", ' }}
    {{- '"description": "' + tool.name + '(' }}
    {%- for param_name, param_fields in tool.parameters.properties|items %}
        {{- param_name + ": " + json_to_python_type(param_fields) }}
        {%- if not loop.last %}
            {{- ", " }}
        {%- endif %}
    {%- endfor %}
    {{- ")" }}
    {{- " - " + tool.description + "\\n\\n" }}
    {{- '", "parameters": ' }}
    {%- if tool.parameters.properties | length == 0 %}
        {{- "{}" }}
    {%- else %}
        {{- tool.parameters|tojson }}
    {%- endif %}
    {{- "}" }}
    {%- if not loop.last %}{{- "\\n" }}{%- endif %}
{%- endfor %}
{{- " </tools>" }}
{%- for message in messages %}
    {{- '\\n<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>' }}
{%- endfor %}"""
MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- endif %}
{%- endfor %}
"""
DEEPSEEK = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='', is_first_sp=true) %}{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.is_first_sp %}{% set ns.system_prompt = ns.system_prompt + message['content'] %}{% set ns.is_first_sp = false %}{%- else %}{% set ns.system_prompt = ns.system_prompt + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<｜User｜>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and 'tool_calls' in message %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls'] %}{%- if not ns.is_first %}{{'<｜Assistant｜><｜tool▁calls▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + tool['function']['arguments']|tojson + '\\n' + '```'}}{%- set ns.is_first = true -%}{%- endif %}{%- endfor %}{{'<｜tool▁calls▁end｜>'}}{%- endif %}{%- if message['role'] == 'assistant' and 'tool_calls' not in message %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- endfor -%}{% if add_generation_prompt and not ns.is_tool %}{{'<｜Assistant｜><think>\\n'}}{% endif %}"""
PHI = """{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and message['tools'] is not none %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' + '<|end|>' }}{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"""
SCHEMA = """{%- macro render_extra(spec, depth=1, skip=['description']) -%}
    {%- for key in spec | dictsort | map('first') if key not in skip %}
        {{- '  ' * depth ~ key ~ ':' }}
        {%- if spec[key] is mapping %}
{{ render_extra(spec[key], depth + 1) }}
        {%- else %}
            {{- ' ' ~ spec[key] | tojson ~ '\\n' }}
        {%- endif %}
    {%- endfor %}
{%- endmacro %}
{%- for tool in tools %}{{ render_extra(tool.function.parameters) }}{% endfor %}"""

STYLES = [s for t in (LLAMA, QWEN, HERMES, MISTRAL, DEEPSEEK, PHI) for s in (t, WEATHER + t, WEATHER + CALLS + t)]
STYLES += [WEATHER + SCHEMA]

SMALL = r"""
{% macro m() %}x{% endmacro %}{{ m() }}{{ m() }}
{% macro m(a, b='B') %}[{{ a }}|{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}{{ m() }}
{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(5) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(c=2) }}
{% macro m(a, b) %}{{ a }}{% endmacro %}{{ m.name }}
{% macro m() %}{{ x }}{% endmacro %}{% set x = 7 %}{{ m() }}
{% macro m() %}{% set x = 2 %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{{ x }}
{% macro f(n) %}{{ n }}{% if n > 0 %},{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
{% macro m() %}{{ loop is defined }}{% endmacro %}{% for i in [1] %}{{ m() }}{% endfor %}
{% macro box(t) %}<{{ t }}:{{ caller() }}>{% endmacro %}{% call box('a') %}in{{ 1 + 1 }}{% endcall %}
{% macro each(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(x) each([1, 2]) %}({{ x }}){% endcall %}
{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}
{% set ns = namespace(t='') %}{% macro m(a) %}{% set ns.t = ns.t ~ a %}{% endmacro %}{{ m('x') }}{{ m('y') }}{{ ns.t }}
{{ m() }}{% macro m() %}late{% endmacro %}
{% set m = 5 %}{{ m() }}
{% filter upper %}ab{{ 'c' }}{% endfilter %}{% filter replace('a', 'b') | upper %}aaa{% endfilter %}
{% set t | upper %}abc{% endset %}{{ t }}
{% set t | replace('a', 'x') | upper %}aba{% endset %}{{ t }}
{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}
{% raw %}{{ not }} {% this %}{% endraw %}!
a {%- raw -%} {{ b }} {%- endraw -%} c
{% for i in range(3) %}{% for j in range(3) %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{% endfor %}
{% for i in range(6) if i % 2 %}{% if i == 3 %}{% continue %}{% endif %}{{ loop.index }}:{{ i }} {% endfor %}
{% for a in [1, 2] %}{% for b in [3] %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}{% endfor %}
{% for x in [1, 2, 3] %}{{ loop.previtem }}<{{ x }}<{{ loop.nextitem }} {% endfor %}
{% for x in [1, 2, 3] %}{{ loop.cycle('a', 'b') }}{% endfor %}
{% for x in 'héy' %}{{ x }}.{% endfor %}
{% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %}
{% for i, (a, b) in [[1, [2, 3]]] %}{{ i }}{{ a }}{{ b }}{% endfor %}
{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}
{% for x in 1, 2 %}{{ x }}{% endfor %}
{% for a, b in [[1]] %}{{ a }}{% endfor %}
{% for x in undefined_list %}x{% else %}empty{% endfor %}
{% for x in none %}{% endfor %}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}
{% set x = [] %}{% for i in [1] %}{% set x = [i] %}{% endfor %}{{ x }}
{% set a, b = [1, 2] %}{{ b }}{{ a }}
{% set (a, b) = 'xy', 3 %}{{ a }}{{ b }}
{% set ns = namespace(a=1, b='x') %}{% set ns.c = ns.a + 1 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns.d is defined }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a + ns.b }}
{{ dict(a=1, b=[2]) }} {{ dict({'a': 1}, c=3) }}
{% set x.y = 1 %}
{{ 1 + 2 * 3 ** 2 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 2 ** -1 }} {{ 2.0 ** 0.5 }} {{ 0 ** 0 }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }} {{ -7.5 // 2 }} {{ 1 / 3 }} {{ 6 / 3 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1.0 / 0 }}
{{ 0 ** -1 }}
{{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [1, 2] * 2 }} {{ 'ab' * -1 }}| {{ 'ab' * true }}
{{ 'a' + 1 }}
{{ 'a' ~ 1 ~ 2.0 ~ [1] ~ none ~ true ~ undefined_thing }}
{{ [1] + [2, 3] }} {{ (1, 2) + (3,) }}
{{ [1] + (2,) }}
{{ true + true }} {{ 1 == true }} {{ 1 == 1.0 }} {{ '1' == 1 }} {{ none == none }} {{ [1, [2]] == [1, [2]] }} {{ (1, 2) == [1, 2] }}
{{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ {'a': 1} != {'a': 2} }} {{ undefined_a == undefined_b }}
{{ 1 < 2 <= 2 < 3 }} {{ 3 > 2 > 2 }} {{ 'a' < 'b' < 'c' }} {{ [1, 2] < [1, 3] }} {{ 'Z' < 'a' }}
{{ 'a' < 1 }}
{{ none < 1 }}
{{ 'el' in 'hello' }} {{ 'x' not in 'abc' }} {{ 2 in [1, 2] }} {{ 'a' in {'a': 1} }} {{ 1 in {'a': 1} }} {{ '' in '' }}
{{ 1 in 'abc' }}
{{ 1 in 5 }}
{{ not true }} {{ not 1 == 2 }} {{ true and 'x' }} {{ 0 or 'y' }} {{ none or 0 or '' or 'z' }} {{ 1 and 2 and 3 }}
{{ 'a' if true }} {{ 'a' if false }}| {{ 1 if false else 2 if false else 3 }} {{ ('x' if 1) ~ 'y' }}
{{ 'a' 'b' "c" }} {{ "\n\t\\\"'" }} {{ '\x41\u00e9\U0001F600' }} {{ '\q' }}
{{ 1_000 + 1 }} {{ 1e3 }} {{ 1.5e-7 }} {{ 1e22 }} {{ 1e16 }} {{ 123456789012345680.0 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 0.0001 }} {{ 100.0 }}
{{ () }} {{ (1,) }} {{ (1, 2) }} {{ 1, 2 }} {{ [] }} {{ {} }} {{ [none, true, 1.5, 'a', "it's", 'q"', '\n\\'] }}
{{ {'a': [1, {'b': (1,)}]} }} {{ '\x00\x1b' }} {{ ['\x00\x1b\x7f'] }}
{{ 'abcdef'[1:3] }} {{ 'abcdef'[::-1] }} {{ 'abcdef'[-3:] }} {{ 'abcdef'[:-1] }} {{ 'abc'[10:] }}| {{ 'abcdef'[::2] }} {{ 'héllo'[1] }} {{ 'abc'[-1] }}
{{ [1, 2, 3, 4][1:-1] }} {{ [1, 2, 3][::-2] }} {{ [1, 2][5:1] }} {{ (1, 2, 3)[1:] }} {{ [1, 2, 3][-2:][0] }} {{ [1, 2][:100000000000] }} {{ [1, 2, 3][::9223372036854775807] }} {{ [1, 2, 3][-9223372036854775807:] }}
{{ 'abc'[::0] }}
{{ [1, 2][5] }}| {{ 'abc'[9] }}| {{ {'a': 1}['z'] }}| {{ {'a': 1}.z }}| {{ [1].x }}|
{{ [[1, 2], [3]][0][1] }} {{ [1, 2].0 }} {{ {'a': {'b': 2}}['a'].b }}
{{ undefined_x.y }}
{{ undefined_x['y'] }}
{{ undefined_x() }}
{{ undefined_x + 1 }}
{{ undefined_x }}|{{ undefined_x is defined }}|{{ undefined_x is none }}|{{ undefined_x | length }}|{{ undefined_x | list }}|{{ undefined_x | string }}|{{ [undefined_x] }}
{{ tools is none }} {{ tools is defined }} {{ documents is none }} {{ bos_token }} {{ eos_token }} {{ unk_token is defined }} {{ strftime_now is defined }} {{ add_generation_prompt }}
{{ 'x' is string }} {{ 1 is string }} {{ {} is mapping }} {{ [] is mapping }} {{ [] is sequence }} {{ 'a' is sequence }} {{ {} is sequence }} {{ 1 is sequence }} {{ 1 is iterable }} {{ 'a' is iterable }} {{ {} is iterable }} {{ none is iterable }}
{{ 1 is number }} {{ 1.0 is number }} {{ true is number }} {{ 1 is integer }} {{ true is integer }} {{ 1.0 is float }} {{ 1 is float }} {{ true is boolean }} {{ 1 is boolean }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ none is none }} {{ none is not none }}
{{ 4 is even }} {{ 4 is odd }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 'a' is eq 'a' }} {{ 1 is ne 2 }} {{ 1 is in [1] }} {{ 2 is gt 1 }} {{ 2 is lessthan 1 }} {{ 'ABC' is upper }} {{ 'abc' is lower }} {{ 'aBc' is lower }}
{{ 9 is divisibleby 0 }}
{{ 1 is frobnicated }}
{{ 1 | frobnicate }}
{{ frobnicate(1) }}
{{ 'a'.frobnicate() }}
{% macro m() %}{% endmacro %}{{ m is callable }} {{ 1 is callable }}
{{ 'a' is defined and 'b' is string or false }} {{ not x is defined }} {{ 1 is not string and 2 is number }}
{{ ' a b '.strip() }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abcba'.strip('ab') }}|{{ ' \n a'.lstrip('\n') }}|{{ 'a\u00a0'.strip() }}|
{{ 'a,b,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a  b '.split() }} {{ ' a b c '.split(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'aXXbXX'.split('XX') }} {{ 'a.b'.split(sep='.') }}
{{ 'abc'.split('') }}
{{ 'a\nb\r\nc\rd'.splitlines() }} {{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'abc'.partition('-') }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('bc') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.startswith('') }} {{ 'a'.startswith('abc') }}
{{ 'abc'.startswith(1) }}
{{ 'prefix-a'.removeprefix('prefix-') }} {{ 'a.txt'.removesuffix('.txt') }} {{ 'abc'.removeprefix('x') }}
{{ 'straße'.upper() }} {{ 'ÀB'.lower() }} {{ "they're bill's".title() }} {{ 'hELLO wORLD'.capitalize() }} {{ "they're bill's-x (yes)" | title }} {{ 'ab cd' | capitalize }}
{{ 'aaa'.replace('a', 'b') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'abc'.replace('', '-') }} {{ 'abc'.replace('', '-', 2) }} {{ 'aXbX' | replace('X', '') }} {{ 'aaa' | replace('a', 'bb', 1) }} {{ 12321 | replace('2', 'x') }}
{{ 'hello'.find('l') }} {{ 'hello'.rfind('l') }} {{ 'hello'.find('z') }} {{ 'hello'.index('e') }} {{ 'hello'.count('l') }} {{ 'aaa'.count('aa') }} {{ 'aaa'.rfind('aa') }} {{ 'abc'.count('') }} {{ '日本語'.find('語') }}
{{ 'hello'.index('z') }}
{{ '-'.join(['a', 'b']) }} {{ ''.join([]) }}| {{ ', '.join('abc') }}
{{ '12'.isdigit() }} {{ '1a'.isdigit() }} {{ ''.isdigit() }} {{ 'ab'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' \t'.isspace() }} {{ 'AB'.isupper() }} {{ 'aB'.islower() }} {{ '1'.isupper() }}
{{ 'ab'.center(6) }}|{{ 'abc'.center(6, '*') }}|{{ 'ab'.ljust(4) }}|{{ 'ab'.rjust(4, '.') }}|{{ '7'.zfill(3) }}|{{ '-7'.zfill(4) }}|{{ 'ab' | center(7) }}|{{ 'abc'.center(2) }}
{{ '{} {}'.format(1, 'a') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x}-{{}}'.format(x=3) }}
{{ '{}'.format() }}
{{ '%s is %d%%' % ('a', 5) }} {{ '%s' % 'x' }} {{ 'x %s' | format('y') }} {{ '%r' % ('a',) }}
{{ '%s %s' % ('a',) }}
{{ {'b': 1, 'a': 2}.items() | list }} {{ {'b': 1}.keys() | list }} {{ {'b': 1}.values() | list }} {{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 'd') }} {{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }}
{{ {'a': 1, 'b': 2, 'a': 3} }}
{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A', 'c'] | sort(case_sensitive=true) }} {{ [3, 1] | sort(reverse=true) }} {{ [{'a': 2, 'n': 'x'}, {'a': 1, 'n': 'y'}] | sort(attribute='a') | map(attribute='n') | list }}
{{ [1, 'a'] | sort }}
{{ {'b': 2, 'A': 1} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(false, 'value') }} {{ {'b': 1, 'a': 2} | dictsort(reverse=true) }}
{{ [1, 2, 1, 3, 2] | unique | list }} {{ ['a', 'A', 'b'] | unique | list }} {{ [3, 1, 2] | min }} {{ [3, 1, 2] | max }} {{ ['b', 'A'] | min }} {{ [] | min }}| {{ [1, 2, 3] | sum }} {{ [{'a': 1}, {'a': 2}] | sum(attribute='a') }} {{ [0.5, 1] | sum }}
{{ [1, 2, 3] | reverse | list }} {{ 'abc' | reverse }} {{ [1, 2] | first }} {{ [1, 2] | last }} {{ [] | first }}| {{ 'abc' | first }} {{ 'abc' | last }} {{ {'a': 1} | first }} {{ 'abc' | list }} {{ {'a': 1} | list }}
{{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 'x') | list }}
{{ [1, 2] | join }} {{ [1, 'a', none] | join('|') }} {{ [{'n': 'x'}, {'n': 'y'}] | join(',', attribute='n') }} {{ 'abc' | join('-') }}
{{ messages | map(attribute='role') | join(' ') }} {{ ['a', 'b'] | map('upper') | list }} {{ [{'a': {'b': 1}}] | map(attribute='a.b') | list }} {{ [{'a': 1}, {}] | map(attribute='a', default=9) | list }} {{ ['x,y'] | map('replace', ',', ';') | list }} {{ [[1, 2], [3]] | map('length') | list }}
{{ [1, 2, 3] | select('odd') | list }} {{ [0, 1, none, 2] | select | list }} {{ [1, 2, 3] | reject('equalto', 2) | list }} {{ messages | selectattr('role', 'in', ['user']) | list | length }} {{ messages | rejectattr('role', 'equalto', 'user') | map(attribute='role') | list }} {{ [{'a': 1}, {}] | selectattr('a') | list }} {{ [{'a': 1}, {}] | selectattr('a', 'defined') | list | length }}
{{ '3' | int }} {{ ' 4 ' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ '3.9' | int }} {{ 3.9 | int }} {{ -3.9 | int }} {{ none | int }} {{ true | int }} {{ 'ff' | int(base=16) }} {{ '1_000' | int }}
{{ '1.5' | float }} {{ 'x' | float }} {{ 'x' | float(2.5) }} {{ 3 | float }} {{ 'inf' | float }} {{ '1e3' | float }} {{ 'nan' | float }}
{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 2.345 | round(1, 'ceil') }} {{ 2.345 | round(1, 'floor') }} {{ 3 | round }} {{ -1.5 | abs }} {{ -3 | abs }}
{{ 'é日' | length }} {{ [1, 2] | count }} {{ {'a': 1} | length }} {{ 5 | string | length }}
{{ 5 | length }}
{{ x | default('d') }} {{ '' | default('d') }}| {{ '' | default('d', true) }} {{ none | default('d') }} {{ none | d('e', true) }} {{ x | default }}|
{{ ' a ' | trim }}| {{ 'xax' | trim('x') }} {{ 5 | trim }} {{ 'a' | upper | lower }} {{ 'A' | safe }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(2, blank=true) }}|{{ 'a\nb' | indent('>> ') }}|{{ 'a\n' | indent }}|{{ '' | indent }}|
{{ {'a': 1} | items | list }} {{ x | items | list }}
{{ 5 | items | list }}
{{ {'a': 5} | attr('a') }}| {{ (1, 2) | list }} {{ (3, 4) | tojson }}
{{ {'b': [1, 2.0, 'q"\\\n\t\x01é日'], 'a': none, 'c': true, 'd': {}, 'e': []} | tojson }}
{{ {'b': [1, {'c': 2}], 'a': [], 'd': {}} | tojson(indent=2) }}
{{ [1, [2]] | tojson(indent=0) }}|{{ [1, [2]] | tojson(indent=-1) }}|{{ [1, [2, {'a': 1}]] | tojson(indent='--') }}
{{ {'b': 1, 'a': 'é'} | tojson(ensure_ascii=true, sort_keys=true) }} {{ '😀\x7f' | tojson(true) }} {{ [1, 2] | tojson(separators=(',', ':')) }} {{ {'a': 1} | tojson(separators=(', ', '=')) }}
{{ 'inf' | float | tojson }} {{ 1e100 | tojson }} {{ 1.0 | tojson }}
{{ undefined_x | tojson }}
{{ range(3) | list }} {{ range(1, 7, 2) | list }} {{ range(3, 0, -1) | list }} {{ range(0) | list }} {{ range(5, 1) | list }}
{{ range(100000) | length }}
{{ range(100001) | length }}
{{ range(1, 2, 0) }}
{{ range(9223372036854775807, -9223372036854775807, -1) }}
{{ raise_exception('no') }}
{{ strftime_now('%Y') }}
{% include 'x' %}
{% import 'x' as y %}
{% extends 'x' %}
{% break %}
{% if true %}
{% for %}{% endfor %}
{{ 1 + }}
{{ (1 }}
{{ ] }}
{{ 'a }}
{{ m(a=1, a=2) }}
{{ m(a=1, 2) }}
{{ 1 2 }}
{% endif %}
{# not closed
{{ "{% x %}" }} {{ '}}' }} {{ {'a': {'b': 1}} }}
  {%- if true -%}  a  {%- endif -%}  b
{%- set x = 1 -%}   x{{- x -}}   y   {{+ x }}
   {% set y = 2 %}   {{ y }}   {# c #}   z
{%+ if true +%}   k   {%+ endif +%}   end
{{ 'a' | upper ~ 'b' | upper }} {{ 1 + 2 | string | length }} {{ -1 | abs }} {{ (-1) | abs }} {{ 'a-b'.split('-')[0] | upper }} {{ [1, 2] | first + 1 }}
{{ messages[0].content | trim | length > 3 and messages[1]['role'] == 'user' }} {{ (messages | last)['content'][:2] }} {{ messages[-1].content.split('"')[1] }}
{{ messages | length - 1 }} {{ messages[messages | length - 1].role }} {{ messages[1:] | map(attribute='role') | list }}
{% set last = messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | last %}{{ last }}
{{ ({'a': 1}.a if true else 2) + 1 }} {{ ['a', 'b'][1 if true else 0] }} {{ {'k': 'v' if false else 'w'}.k }}
{% if messages and messages[0].role in ['system', 'developer'] %}sys{% elif true %}no{% endif %}
{% if not (1 == 2 or 3 in [3] and not false) %}a{% else %}b{% endif %}
{{ true and not false }} {{ True }} {{ False }} {{ None }} {{ none }}
{{ 9223372036854775807 }} {{ -9223372036854775807 }}
{{ 'a' if undefined_x is defined and undefined_x.y else 'b' }}
{% generation %}{% set z = 1 %}kept{% endgeneration %}{{ z is defined }}
"""


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        from jinja2 import nodes
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_kept"), [], [], body).set_lineno(line)

    def _kept(self, caller):
        return caller()


def refuse(message):
    raise TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def main():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = refuse
    rows = []
    lines = [line for line in SMALL.split("\n") if line]
    for source in STYLES + lines:
        try:
            text = env.from_string(source).render(
                messages=TALK, tools=None, documents=None, add_generation_prompt=True, bos_token="<s>", eos_token="</s>")
        except (TemplateError, TypeError, ValueError, KeyError, ArithmeticError, AttributeError, IndexError, SyntaxError):
            text = None
        rows.append({"template": source, "text": text})
    json.dump(rows, sys.stdout, ensure_ascii=True, indent=0)
    print()


main()
