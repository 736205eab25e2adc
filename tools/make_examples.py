#!/usr/bin/env python3
"""Writes examples/phone_steps.jsonl: 56 instructions to a phone, as OpenAI batch lines.

    tools/make_examples.py            writes the file
    tools/make_examples.py --check    exit code 1 when the file differs from what would be written

The instructions are of the kind that the example model knows (docs/phone-nano.md), with the answers that it gives.
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "examples" / "phone_steps.jsonl"
sys.path.insert(0, str(ROOT / "tools" / "phone_nano"))

from language import SYSTEM  # noqa: E402


def launch(app):
    return f'do(action="Launch", app="{app}")'


def type_text(text):
    return f'do(action="Type", text="{text}")'


def tap(x, y):
    return f'do(action="Tap", element=[{x},{y}])'


def swipe(start, end):
    return f'do(action="Swipe", start={start}, end={end})'


def wait(seconds):
    return f'do(action="Wait", duration="{seconds} seconds")'


def finish(message):
    return f'finish(message="{message}")'


BACK, HOME = 'do(action="Back")', 'do(action="Home")'
UP, DOWN = swipe("[500,800]", "[500,200]"), swipe("[500,200]", "[500,800]")
LEFT, RIGHT = swipe("[800,500]", "[200,500]"), swipe("[200,500]", "[800,500]")

STEPS = {
    "zh": [
        ("打开微信", launch("微信")),
        ("请打开微信，然后搜索周末爬山", launch("微信")),
        ("在输入框里输入“我参加”", type_text("我参加")),
        ("启动支付宝", launch("支付宝")),
        ("帮我打开生活缴费", launch("生活缴费")),
        ("切换到高德地图，搜索最近的地铁站", launch("高德地图")),
        ("在搜索框输入首都机场", type_text("首都机场")),
        ("点击 500 320", tap(500, 320)),
        ("向上滑", UP),
        ("等待3秒", wait(3)),
        ("返回上一页", BACK),
        ("回到桌面", HOME),
        ("把京东打开", launch("京东")),
        ("输入：充电宝", type_text("充电宝")),
        ("点一下(188, 811)", tap(188, 811)),
        ("向左滑动", LEFT),
        ("麻烦打开铁路12306，谢谢", launch("铁路12306")),
        ("输入“北京到上海”", type_text("北京到上海")),
        ("页面在加载，等10秒", wait(10)),
        ("进入哔哩哔哩", launch("哔哩哔哩")),
        ("打开网易云音乐，接着播放晴天", launch("网易云音乐")),
        ("请向右滑", RIGHT),
        ("打开名叫松鼠记账的应用", launch("松鼠记账")),
        ("我想用拾光日记", launch("拾光日记")),
        ("回复“路上小心”", type_text("路上小心")),
        ("往下滑", DOWN),
        ("退回去", BACK),
        ("任务完成，告诉我“已经点好了”", finish("已经点好了")),
    ],
    "en": [
        ("Open the camera", launch("camera")),
        ("open Messages and send Grace a message", launch("Messages")),
        ("type 'On my way'", type_text("On my way")),
        ("Go to Mail", launch("Mail")),
        ("please launch Maps and search for a pharmacy", launch("Maps")),
        ("type the text nearest pharmacy", type_text("nearest pharmacy")),
        ("tap 320 540", tap(320, 540)),
        ("swipe up", UP),
        ("wait 5 seconds", wait(5)),
        ("go back", BACK),
        ("go to the home screen", HOME),
        ("open the settings and turn on bluetooth", launch("settings")),
        ("Tap (640, 77)", tap(640, 77)),
        ("swipe to the left", LEFT),
        ("start the app Podcasts", launch("Podcasts")),
        ("switch to Music, then play Long Drives", launch("Music")),
        ("enter 'running shoes' in the box", type_text("running shoes")),
        ("the page is loading, wait 12 seconds", wait(12)),
        ("can you open the Travel app", launch("Travel")),
        ("write 'Leeds to York'", type_text("Leeds to York")),
        ("Swipe right", RIGHT),
        ("open the app called Harvest Ledger", launch("Harvest Ledger")),
        ("launch Tarnwick for me", launch("Tarnwick")),
        ("reply 'see you at eight'", type_text("see you at eight")),
        ("swipe down once", DOWN),
        ("press the back button", BACK),
        ("press home", HOME),
        ("finish and say 'the table is booked'", finish("the table is booked")),
    ],
}


def numbered():
    """@return custom_id, language, instruction and answer of each step"""
    return [(f"phone-{language}-{number:03}", language, *step)
            for language, steps in STEPS.items() for number, step in enumerate(steps, 1)]


def answers():
    """What the example model answers, by custom_id."""
    return {custom_id: answer for custom_id, _, _, answer in numbered()}


def batch_line(custom_id, language, instruction):
    body = {
        "model": "phone-nano",
        "messages": [
            {"role": "system", "content": SYSTEM[language]},
            {"role": "user", "content": instruction},
        ],
        "max_tokens": 64,
        "temperature": 0,
    }
    line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(line, ensure_ascii=False) + "\n"


def examples():
    return "".join(batch_line(custom_id, language, instruction) for custom_id, language, instruction, _ in numbered())


def main():
    if sys.argv[1:] == ["--check"]:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != examples():
            print(f"{TARGET} is not what tools/make_examples.py writes; run it")
            return 1
        return 0
    if sys.argv[1:]:
        print(__doc__)
        return 2
    TARGET.write_text(examples(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
