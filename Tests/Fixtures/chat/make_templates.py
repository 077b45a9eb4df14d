#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes templates.json: chat templates, conversations, and what Jinja makes of them.

    python3 -m pip install jinja2
    python3 make_templates.py > templates.json

The environment is the one of Hugging Face transformers' apply_chat_template.
"""
import json, sys
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim"
    " + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\n'}}
{%- endif -%}
"""
QWEN = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- set reasoning_content = '' %}
        {%- if '</think>' in message.content %}
            {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
            {%- set reasoning_content = message.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- endif %}
{%- endfor %}{{ user_messages | length }}"""

SMALL = [
    "plain\n", "two ends\n\n", "a {{- ' b ' -}} c", "{{ 1 + 2 * 3 - 4 // 3 % 2 }} {{ 7 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }}",
    "{{ 'a' ~ 1 ~ none ~ true ~ 1.5 }}", "{{ [1, 'two', none, true, {'k': \"it's\"}] }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ 2 >= 2.0 }}", "{{ 'x' in 'text' }} {{ 4 not in [1, 2] }} {{ not 1 in [1] }}",
    "{{ undefined_name }}|{{ undefined_name is defined }}|{{ undefined_name | default('d') }}|{{ '' | default('e', true) }}",
    "  {% if true %}\n  x\n  {% endif %}\n y", "  {%+ if true %}\n  x\n  {%- endif +%}\n y", "a\n  {# note #}\nb {# c #}\nd",
    "{% for x in [1, 2, 3] %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for x in [] %}x{% else %}none{% endfor %}", "{% for x in [1, 2, 3, 4] if x is odd %}{{ loop.index0 }}{{ x }}{{ loop.revindex }} {% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}", "{% for x in range(2, 9, 3) %}{{ x }} {% endfor %}",
    "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}",
    "{% set t %}a{{ 1 }}b\n{% endset %}[{{ t }}]", "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{{ 'Hello World foo'.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1)[1] }} {{ ' x '.strip() }}|",
    "{{ 'xxabxx'.strip('x') }} {{ 'ab'.upper() }} {{ 'they are'.title() }} {{ 'hELLO'.capitalize() }} {{ 'abc'[::-1] }} {{ 'abcdef'[1:-1:2] }}",
    "{{ {'b': [1, 2.5, 'q\"\\n'], 'a': none} | tojson }}\n{{ {'b': [1], 'c': {}} | tojson(indent=2) }}", "{{ ['a', 'b'] | join(', ') }} {{ [1, 2] | join }} {{ 'é日' | length }}",
    "{{ messages | map(attribute='role') | join(' ') }}", "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
    "{{ (messages | last).role }} {{ messages | first | tojson }}", "{{ 'a\\tb' | upper | lower | trim | replace('a', 'A') }} {{ '3' | int + 1 }}",
    "{{ 'yes' if messages else 'no' }} {{ 'x' if false }}|", "{{ 3 is number }} {{ 'a' is string }} {{ [1] is iterable }} {{ {} is mapping }} {{ none is none }} {{ 4 is divisibleby 2 }} {{ 1 is not none }}",
    "{{ \"a\\u00e9\\x41\\\\ \\' \" }}", "{{ 'a' 'b' }}", "{{ -3 | string }} {{ not true and false or 'z' }} {{ 1 if 0 else 2 if 0 else 3 }}",
    "{{ {'a': {'b': 1}}.a.b }} {{ {'a': 1}.get('z', 9) }} {{ [[1, 2], [3]][0][1] }} {{ messages[-1]['role'] }} {{ messages[99] is defined }}",
    "line\r\nbreak\rs {{ 'x\ny' }}\r\n", "{{ 'a\u0301' == '\u00e1' }} {{ 'a\r\nb'.split('\n') }} {{ 'a\nb\n'.splitlines() }}",
    "{% generation %}kept{% endgeneration %}", "{{ 1e1 if false else 1.0 }} {{ 10.0 / 4 }} {{ 100000000.0 * 1000000000.0 }}",
    "{% if false %}a{% elif 0 %}b{% else %}c{% endif %}", "{{- '\n' }}\n{{- ' x' }}\n\n", "{{ 'abcabc'.find('c') }} {{ 'abcabc'.count('bc') }} {{ 'abc'.startswith(('x', 'ab')) }}",
]

TALKS = {
    "one": [{"role": "user", "content": "Hi there"}],
    "system": [{"role": "system", "content": "Short."}, {"role": "user", "content": " ¿Qué?\n"},
               {"role": "assistant", "content": "<think>\nhm\n</think>\n\nNada "}, {"role": "user", "content": "日本 \"q\" \\ 'x'"}],
    "wrong": [{"role": "assistant", "content": "I start"}],
}


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        from jinja2 import nodes
        return nodes.Scope(body).set_lineno(line)


def refuse(message):
    raise ValueError(message)


def main():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = lambda x, indent=None: json.dumps(x, ensure_ascii=False, indent=indent)
    env.globals["raise_exception"] = refuse
    rows = []
    sources = [(t, list(TALKS)) for t in (CHATML, LLAMA3, GEMMA, QWEN, MISTRAL)] + [(t, ["system"]) for t in SMALL]
    for source, talks in sources:
        for talk in talks:
            for prompt in (True, False) if len(talks) > 1 else (True,):
                row = {"template": source, "messages": TALKS[talk], "add_generation_prompt": prompt}
                try:
                    row["text"] = env.from_string(source).render(
                        messages=TALKS[talk], add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>")
                except ValueError as error:
                    row["refusal"] = str(error)
                rows.append(row)
    json.dump(rows, sys.stdout, ensure_ascii=True, indent=0)
    print()


main()
