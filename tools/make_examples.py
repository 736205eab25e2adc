#!/usr/bin/env python3
"""Writes examples/phone_steps.jsonl: one step each of 56 phone tasks, as OpenAI batch lines.

    tools/make_examples.py            writes the file
    tools/make_examples.py --check    exit code 1 when the file differs from what would be written

The tasks and screens are made up. Element positions come from a seeded generator, so the file is always the same.
"""

import json
import pathlib
import random
import sys

TARGET = pathlib.Path(__file__).resolve().parent.parent / "examples" / "phone_steps.jsonl"
SEED = 7

SYSTEM = """\
You operate a phone for its owner. Each message gives the task and the elements on screen with their centre as \
[x, y], both from 0 to 999 counted from the top left corner. Choose the one action that brings the task forward \
and reply with that action only:
do(action="Tap", element=[x, y])
do(action="Type", text="...") into the focused field
do(action="Swipe", start=[x, y], end=[x, y])
do(action="Launch", app="...")
do(action="Back") or do(action="Home")
do(action="Wait", seconds=n) while the screen loads
do(action="Ask", message="...") before paying, sending money or deleting anything
finish(message="...") when the task is done or cannot be done
Stay inside the task. Do not invent elements that are not listed. Write text in the language of the task."""

# (app in front, task, elements on the screen)
CHINESE = [
    ("桌面", "打开微信，告诉妈妈我今晚八点到家", ["电话", "微信", "相机", "设置"]),
    ("微信", "在群“周末爬山”里回复“我参加”", ["搜索", "周末爬山", "妈妈", "文件传输助手"]),
    ("微信", "把最近一张照片发给张伟", ["张伟", "输入框", "加号", "表情"]),
    ("支付宝", "查一下这个月的水费账单", ["扫一扫", "生活缴费", "账单", "余额宝"]),
    ("支付宝", "给李娜转账五十元", ["李娜", "金额 50.00", "转账说明", "确认转账"]),
    ("美团", "点一份不加辣的牛肉面，送到公司", ["搜索商家", "外卖", "公司地址", "购物车"]),
    ("美团", "取消刚才下的奶茶订单", ["订单详情", "联系骑手", "申请取消", "再来一单"]),
    ("高德地图", "导航去最近的地铁站", ["搜索地点", "地铁站 320 米", "路线", "打车"]),
    ("高德地图", "避开高速，去首都机场", ["首都机场 T3", "路线偏好", "避开高速", "开始导航"]),
    ("淘宝", "把购物车里的蓝色雨伞数量改成二", ["雨伞 蓝色", "减号", "1", "加号", "结算"]),
    ("淘宝", "查看昨天买的书到哪里了", ["待付款", "待收货", "物流信息", "客服"]),
    ("京东", "按销量给搜索结果里的充电宝排序", ["综合", "销量", "价格", "筛选"]),
    ("铁路12306", "查明天上午北京到上海的高铁", ["出发地 北京", "到达地 上海", "日期", "查询车票"]),
    ("铁路12306", "把订单里的座位改成靠窗", ["订单 G7", "改签", "退票", "选座"]),
    ("哔哩哔哩", "把正在放的视频加入稍后再看", ["点赞", "投币", "稍后再看", "分享"]),
    ("哔哩哔哩", "关闭弹幕", ["播放", "弹幕开关", "全屏", "倍速"]),
    ("网易云音乐", "循环播放当前这首歌", ["上一首", "播放模式", "下一首", "歌词"]),
    ("日历", "下周三下午三点加一个“牙医”日程", ["新建日程", "标题", "日期", "保存"]),
    ("时钟", "把早上七点的闹钟改到六点半", ["闹钟 07:00", "闹钟 08:30", "添加", "秒表"]),
    ("设置", "打开护眼模式", ["显示与亮度", "声音", "电池", "隐私"]),
    ("设置", "连接名为“书房”的无线网络", ["书房", "客厅", "其他网络", "开关"]),
    ("设置", "把字体调大一号", ["字体大小", "粗体", "预览", "恢复默认"]),
    ("相册", "删除昨天的三张截图", ["截图 1", "截图 2", "截图 3", "删除", "分享"]),
    ("备忘录", "新建一条购物清单：牛奶、鸡蛋、面包", ["新建", "全部备忘录", "搜索", "文件夹"]),
    ("小红书", "收藏这篇做番茄炒蛋的笔记", ["点赞", "收藏", "评论", "关注作者"]),
    ("滴滴出行", "叫一辆快车去人民医院，先看价格", ["目的地 人民医院", "快车 约 26 元", "优享", "呼叫"]),
    ("电话", "给奶奶打电话", ["最近通话", "联系人", "拨号盘", "奶奶"]),
    ("天气", "看看周末广州会不会下雨", ["北京 晴", "添加城市", "广州 多云", "七日预报"]),
]
ENGLISH = [
    ("Home screen", "Open the camera and take one picture", ["Phone", "Camera", "Messages", "Settings"]),
    ("Messages", "Reply 'On my way' to Grace", ["Grace", "Message field", "Send", "Attach"]),
    ("Messages", "Mute the group 'Book club' until tomorrow", ["Book club", "Mute", "Members", "Leave group"]),
    ("Mail", "Archive every newsletter from last week", ["Select all", "Archive", "Delete", "Filter"]),
    ("Mail", "Find the invoice that arrived from the plumber", ["Search mail", "Inbox", "Sent", "Drafts"]),
    ("Maps", "Walk to the nearest pharmacy", ["Search here", "Pharmacy 0.2 mi", "Directions", "Layers"]),
    ("Maps", "Save this restaurant to my favourites", ["Call", "Save", "Share", "Reviews"]),
    ("Calendar", "Move Friday's stand-up to 10:30", ["Stand-up 10:00", "New event", "Week view", "Search"]),
    ("Clock", "Start a 12 minute timer for the pasta", ["Timer", "Stopwatch", "Alarm", "World clock"]),
    ("Clock", "Turn off every alarm on Sunday", ["Alarm 06:45", "Alarm 09:00", "Repeat", "Delete"]),
    ("Settings", "Switch on battery saver", ["Network", "Battery", "Display", "Storage"]),
    ("Settings", "Pair the headphones called Orchid", ["Bluetooth", "Orchid", "Pair new device", "Forget"]),
    ("Settings", "Change the phone's language to Spanish", ["System", "Languages", "Keyboard", "About phone"]),
    ("Music", "Shuffle the playlist 'Long drives'", ["Long drives", "Shuffle", "Download", "More"]),
    ("Podcasts", "Skip ahead to the interview at minute 20", ["Back 15 s", "Play", "Forward 30 s", "Seek bar"]),
    ("Shop", "Filter the running shoes to size 42", ["Size", "Colour", "Price", "Apply filters"]),
    ("Shop", "Return the grey jacket from my last order", ["Grey jacket", "Start a return", "Buy again", "Help"]),
    ("Bank", "Show what I spent on groceries in May", ["Accounts", "Spending", "Transfer", "Cards"]),
    ("Bank", "Pay the electricity bill of 84.20", ["Electricity 84.20", "Schedule", "Pay now", "Cancel"]),
    ("Notes", "Add 'call the landlord' to my to-do list", ["To-do", "New note", "Search notes", "Archive"]),
    ("Photos", "Make an album of the pictures from the lake", ["Select", "Lake 14 items", "New album", "Share"]),
    ("Video", "Turn on English subtitles", ["Pause", "Subtitles", "Quality", "Cast"]),
    ("Travel", "Find a train from Leeds to York after six", ["From Leeds", "To York", "Depart 18:00", "Search"]),
    ("Travel", "Check in for tomorrow's flight", ["My trips", "Check in", "Seat map", "Baggage"]),
    ("Taxi", "Book a ride home for two people", ["Where to?", "Home", "Schedule", "Standard 9.80"]),
    ("Food", "Reorder last Friday's pizza without olives", ["Recent orders", "Pizza place", "Edit item", "Checkout"]),
    ("Weather", "Tell me whether it will freeze tonight", ["Hourly", "Tonight 1 C", "Radar", "10 days"]),
    ("Contacts", "Change Omar's number to the one he texted me", ["Omar", "Edit", "Phone field", "Save"]),
]


def screen_text(language, elements, rng):
    """The screen as text: elements from top to bottom with their positions."""
    band = 900 // len(elements)
    places = []
    for row, name in enumerate(elements):
        # random() alone gives the same numbers in every Python version.
        x, y = 60 + int(rng.random() * 880), 60 + row * band + int(rng.random() * band)
        places.append(f"{name} [{x}, {y}]")
    return "；".join(places) if language == "zh" else "; ".join(places)


def user_text(language, app, task, elements, rng):
    screen = screen_text(language, elements, rng)
    if language == "zh":
        return f"任务：{task}\n当前应用：{app}\n屏幕：{screen}"
    return f"Task: {task}\nApp in front: {app}\nScreen: {screen}"


def batch_line(language, number, step, rng):
    body = {
        "model": "phone-agent",
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": user_text(language, *step, rng)},
        ],
        "max_tokens": 48,
        "temperature": 0,
    }
    line = {"custom_id": f"phone-{language}-{number:03}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(line, ensure_ascii=False) + "\n"


def examples():
    rng = random.Random(SEED)
    steps = [(language, number, step) for language, table in (("zh", CHINESE), ("en", ENGLISH))
             for number, step in enumerate(table, 1)]
    return "".join(batch_line(*step, rng) for step in steps)


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
