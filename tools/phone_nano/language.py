"""The words of phone-nano: names, texts, phrasings and the action that each calls for. Only tables; data.py draws from
them. What begins with UNSEEN is kept from training.

All of it was made up for this model, except for the names of well-known apps.
"""

SYSTEM = {
    "zh": "你替主人操作手机。每条指令只回答一个动作：do(action=...) 或 finish(message=...)。",
    "en": "You operate a phone for its owner. Answer each instruction with one action: do(action=...) or "
          "finish(message=...).",
}

# --- Names of apps -------------------------------------------------------------------------------------------------

APPS = {
    "zh": """微信 支付宝 淘宝 京东 美团 高德地图 百度地图 哔哩哔哩 网易云音乐 小红书 滴滴出行 铁路12306 知乎 微博 抖音 拼多多 饿了么
        设置 日历 时钟 相册 相机 备忘录 电话 短信 通讯录 天气 计算器 浏览器 邮箱 录音机 文件管理 应用商店 手电筒 指南针 钱包 健康 地图 音乐 视频
        阅读 词典 翻译 录屏 股票 游戏中心 主题商店 手机管家 青山笔记 云上课堂 小鹿记账 晨光阅读 南瓜跑步 海豚听书 一页日记 橘子菜谱 星桥打车
        蓝莓天气 竹林冥想 飞燕快递 石榴商城 远山相机 木棉公益 河马买菜 松果自习 白鹭医生 西窗电台 三味书屋 半夏养生 极光浏览器 铜钱理财
        麦田外卖 纸鹤邮箱 蜂巢家居 萤火音乐 北斗导航 墨点画板 拾光相册 月牙睡眠""".split(),
    "en": """Settings|Calendar|Clock|Camera|Photos|Messages|Phone|Contacts|Mail|Maps|Music|Notes|Weather|Calculator|
        Browser|Files|Wallet|Health|Podcasts|Gallery|Recorder|Compass|Translate|Bank|Shop|Taxi|Food|Travel|Video|
        Reminders|settings|calendar|clock|camera|calculator|gallery|weather|notes|WeChat|YouTube|WhatsApp|Telegram|
        Spotify|Chrome|Gmail|Slack|Zoom|Discord|Uber|Netflix|Lanternbook|Quick Ledger|Ferngate|Pocket Tailor|
        Owlpost|Rivermap|Sundial Pro|Mossy Reader|Kitewing|Harbor Chat|Tinpan Radio|Bluefin Bank|Nimbus 7|Plumcart|
        Oakline|Paper Crane|Velvet Notes|Stepwise|Dovetail Mail|Copper Kettle|Marble Run|Skylark Rides|Dewdrop|
        Halfmoon Sleep|Cinder Browser|Fieldnote|Pebble Fit|Thimble|Wren Music|Juniper Health|Cobalt Drive""",
}
APPS["en"] = [name.strip() for name in APPS["en"].split("|")]

UNSEEN_APPS = {
    "zh": """闲鱼 飞书 钉钉 优酷 豆瓣 携程旅行 喜马拉雅 菜鸟裹裹 墨迹天气 剪映 夸克 快手 得物 虎牙直播 腾讯会议 红杉记账 银杏读书 海棠日历 瓦片地图 鲸落音乐
        桃子医生 雪狐浏览器 渔火电台 梧桐邮箱 沙丘相机 灯塔导航 青柠外卖 木兰花店 乌篷船票 赤豆菜谱 长亭快递 云雀英语 枫桥诗词 小满农场 鹿角健身 砚台书法 荔枝钱包
        风铃睡眠 冰川壁纸 骆驼理财 芦苇日记 葡萄视频""".split(),
    "en": """Signal|Pinterest|Duolingo|Waze|Evernote|Firefox|Shazam|Tidewell|Marlow Notes|Brightpath|Quillbox|Amberline|
        Foxglove Mail|Turnip Cart|Saltmarsh|Hollow Radio|Zephyr Rides|Lumenfit|Gristmill|Opal Bank|Cloudberry|
        Driftwood Maps|Starling Chat|Ledgerly|Bramble Reader|Inkwell 3|Sparrow Pay|Northgate|Peppermint Keys|
        Wickfield|Dune Browser|Orchard Photos|Tanager|Coral Sleep|Mapleway|Flintlock Games|Vesper Music|Yarrow Health|
        Gingham|Pinecone Files""",
}
UNSEEN_APPS["en"] = [name.strip() for name in UNSEEN_APPS["en"].split("|")]

# --- Texts to type or to say -----------------------------------------------------------------------------------------

TEXTS = {
    "zh": """你好 谢谢 我到了 马上就来 晚上八点见 今天下雨 记得带伞 生日快乐 我参加 好的 收到 明天见 在路上了 牛肉面 充电宝 蓝色雨伞 高铁票 红烧肉的做法 附近的药店 去机场怎么走
        周末有空吗 晚安 辛苦了 我在开会 稍后回复你 帮我带杯咖啡 新年快乐 早点休息 请发地址 密码忘了 已经付款 下周三开会 孩子睡了 吃饭了吗 路上小心 快递放门口 不加辣 少放糖
        两张成人票 靠窗的座位""".split(),
    "en": """hello|thank you|on my way|see you at eight|happy birthday|I am in a meeting|running late|sounds good|good night|
        noodle shop|running shoes|blue umbrella|train to York|pizza without olives|nearest pharmacy|call me later|
        where are you|book club|bring some milk|well done|Hello|Yes of course|No sugar|Dinner at six|Happy new year|
        the red one|two tickets|window seat|my new address|weather in Leeds""",
}
TEXTS["en"] = [text.strip() for text in TEXTS["en"].split("|")]

UNSEEN_TEXTS = {
    "zh": """我已经下楼了 恭喜你 门票卖完了吗 番茄炒蛋 带上身份证 老地方见 车停在南门 奶茶不要冰 会议改期了 猫粮 手机支架 海鲜粥 一路平安 图书馆几点关门 祝你好运 钥匙在花盆下 电影很好看 跑了十公里
        牙医的电话 买两斤苹果 已经发货了 楼下等你 冰箱坏了 谢谢你的礼物""".split(),
    "en": """congratulations|meet me downstairs|garlic bread|lost my keys|cheap flights|standing desk|get well soon|
        Bring an umbrella|oat milk latte|the train was delayed|parking near the museum|Sorry I missed you|
        new phone case|great job today|tomato soup recipe|leaving in ten minutes|Stay warm|three lemons|
        yoga for beginners|safe travels""",
}
UNSEEN_TEXTS["en"] = [text.strip() for text in UNSEEN_TEXTS["en"].split("|")]

# --- Phrasings -------------------------------------------------------------------------------------------------------
# A training phrasing is drawn: {before} and {after} and the middle part of its action, with {x} where the filler stands.
# Other names in braces stand for one of PARTS, and so on until none is left.

PARTS = {
    "zh": {
        "before": ["", "", "", "{polite}", "{polite}", "{polite}", "{call}{polite}", "{call}", "{when}", "{polite}{when}"],
        "polite": ["{w}", "请{w}", "请", "请你", "请帮我", "帮我", "帮忙", "麻烦", "麻烦你", "劳驾，", "我想", "我要", "我需要", "可以", "能否", "能不能帮我", "给我", "替我",
                   "你去", "我打算", "咱们", "你帮我"],
        "call": ["嗯，", "你好，", "喂，", "那个，", "好的，", "对了，", "{y}，", "没事了，", "好，", "小助手，"],
        "when": ["现在", "先", "快", "马上", "立刻", "接着", "然后", "首先", "赶紧", "再", "接下来", "等会儿", "这就"],
        "after": ["", "", "", "", "就行", "就好", "，辛苦了", "吧", "。", "！", "，谢谢", "，好吗", "，快点", "，可以吗", "，行吗", "，麻烦了", "，谢谢你", "，我着急", "，拜托", "？", "呀", "啦",
                  "，现在就要"],
        "then": ["{join}{step}", "{join}{step}", "{join}{step}", "，{step}再{step}"],
        "join": ["，", "，", "，然后", "，再", "，接着", "，并且", "，之后", "，并", "，帮我", "，我要", "，看能不能"],
        "step": ["搜索{y}", "告诉妈妈{y}", "把音量调大", "给{y}发消息", "看看今天的消息", "登录", "买一个{y}", "播放{y}", "找到{y}", "把{y}删掉", "查{y}", "听{y}",
                 "点一份{y}", "看{y}", "发一条{y}", "付钱", "打车去{y}", "约{y}吃饭", "记下{y}", "分享给{y}", "订一张票", "读{y}", "拍一张照片", "问问{y}"],
        "open": ["打开", "打开", "打开", "启动", "启动", "进入", "运行", "点开", "开启", "切换到", "转到", "跳到", "进到", "回到", "使用", "用", "调出", "唤起", "加载", "去",
                 "进", "开", "看", "找到", "翻到", "展开"],
        "opened": ["打开", "打开", "启动", "点开", "运行", "开启", "启动起来", "打开来", "调出来", "开开", "唤起来", "跑起来", "放到前台"],
        "bit": ["", "", "", "", "一下", "一下", "下"],
        "which": ["", "", "", "", "", "", "咱们的", "那款", "这款", "新的", "手机上的", "手机里的", "我的", "这个", "名叫", "名为", "叫", "应用", "软件", "刚装的", "桌面上的", "常用的"],
        "sort": ["", "", "", "", "", "", "应用", "软件", "这个应用", "这个软件", "程序", "app", "里面", "的首页", "的界面"],
        "forme": ["", "", "", "再", "直接", "帮我", "替我", "重新", "赶快", "给咱们"],
        "look": ["", "", "", "", "瞅瞅", "逛逛", "看一眼", "让我看看", "让我用一下", "给大家看看", "再讲", "玩一会儿", "看看", "看一下", "瞧瞧", "用用", "试试", "用一下", "查一查"],
        "name": ["{x}", "{x}", "{x}", "{x}", "{x}", "“{x}”", "「{x}」", "‘{x}’", "《{x}》"],
        "quoted": ["“{x}”", "“{x}”", "“{x}”", "「{x}」", "‘{x}’"],
        "write": ["输入", "输入", "输入", "打字", "填写", "填入", "写上", "写", "键入", "录入", "打上", "填上", "写下", "敲", "填", "打出", "写入", "发", "回复", "回"],
        "written": ["输入", "输进去", "写上去", "写进去", "输入进去", "填上", "填上去", "打上去", "打出来", "敲进去", "录进去", "写下来"],
        "field": ["输入框", "搜索框", "搜索栏", "文本框", "对话框", "这里", "此处", "这个框", "标题栏", "备注栏", "评论框", "第一行", "页面上", "空白处"],
        "into": ["在{field}里", "在{field}", "往{field}里", "到{field}里", "在{field}中", "向{field}", "{field}里", "就在{field}"],
        "words": ["", "", "文字", "文本", "内容", "这句话", "这段话", "几个字", "下面的字", "下面这句"],
        "these": ["这几个字", "这句话", "这些字", "这段文字", "这两个字", "这个词"],
        "end": ["结束任务", "结束", "任务结束", "任务完成", "完成任务", "完成", "做完了", "停止", "停下来", "到此结束", "收工", "都办好了", "不用做了", "事情办完了", "搞定了", "停下",
                "停止任务", "任务到此结束", "全部完成", "可以结束了", "就这样吧", "先这样", "可以了", "不用继续了"],
        "say": ["说", "说一声", "告诉我", "回答", "回答我", "回复我", "报告", "跟我说", "消息写", "消息为", "消息是", "留言", "答复", "告诉主人", "最后说", "向我报告"],
        "and": ["，", "，", "并", "，并", "，然后", "，再", "，同时", "，"],
        "wait": ["等", "等待", "等上", "暂停", "停", "停顿", "休息", "等候", "静等", "再等"],
        "second": ["秒", "秒", "秒钟"],
        "loading": ["", "", "", "页面在加载，", "还没加载好，", "页面有点慢，", "先别动，", "网速慢，", "还在转圈，", "不着急，"],
        "onward": ["", "", "", "再继续", "再往下", "看看", "让它加载", "，别点", "再操作"],
        "tap": ["点击", "点一下", "点", "轻点", "按一下", "按", "触摸", "单击", "点按", "碰一下", "点中", "戳一下"],
        "spot": ["", "", "", "坐标", "位置", "屏幕上的", "屏幕", "屏幕坐标", "页面上的"],
        "there": ["", "", "", "这个点", "的位置", "这里", "那个位置", "这一点"],
        "back": ["返回", "后退", "退回去", "往回退", "退回", "倒退", "回退", "退", "返回去"],
        "page": ["上一页", "上一级", "上一个页面", "前一页", "前面的页面", "上一个界面", "刚才的页面", "上一层", "上一屏"],
        "go": ["回到", "返回", "回", "去", "退到", "切换到", "退出到", "转到", "跳回"],
        "desk": ["桌面", "主屏幕", "手机桌面", "主界面", "手机主屏幕", "首屏", "主屏"],
        "slide": ["滑", "滑动", "划", "滑一下", "划一下", "滑动一下", "滑一屏", "划动", "滑一次", "翻"],
        "toward": ["向", "往", "朝", "再向", "再往"],
        "sheet": ["", "", "屏幕", "把屏幕", "页面", "把页面", "手指", "在屏幕上", "把列表", "将画面"],
    },
    "en": {
        "before": ["", "", "", "{call}{polite}", "{polite}", "{polite}", "{polite}", "{when}", "{polite}{when}", "{call}"],
        "polite": ["let's ", "let {w} ", "{w} ", "please {w} ", "allow me to ", "you could ", "we could ", "why not ",
                   "shall we ", "it would be nice to ", "how about you ", "someone should ", "please ", "Please ", "can you ", "Can you ", "could you please ", "Could you please ", "will you ",
                   "Will you ", "would you please ", "I want you to ", "I want to ", "you should ", "go ahead and ",
                   "Go ahead and ", "I have to ", "kindly ", "help me ", "Help me ", "try to ", "we have to ", "I wish to ",
                   "you may ", "can we ", "time to ", "it is time to ", "would you kindly ", "I must ", "let me ",
                   "do me a favour and ", "be so kind and ", "I would love to ", "we want to "],
        "call": ["hey, ", "Hey, ", "ok, ", "Ok, ", "hi, ", "hello, ", "well, ", "so, ", "alright, ", "{y}, ", "yes, ",
                 "good, ", "listen, ", "dear phone, ", "sorry, "],
        "when": ["now ", "first ", "next ", "then ", "just ", "quickly ", "simply ", "once more ", "at last ", "again ",
                 "Now ", "First ", "Next ", "Just "],
        "after": ["", "", "", "", "", ".", "!", "?", ", please", " please", " now", ", thanks", " for me", " right away",
                  " quickly", " at once", " if you can", ", thank you", " immediately", " again", ", ok?", " this time",
                  " for a moment", ", will you", ", quick", " as soon as you can", " today", ", I am in a hurry"],
        "then": ["{join}{step}", "{join}{step}", "{join}{step}", "{join}{step} and {step}"],
        "join": [" and ", " and ", " and then ", ", then ", ", and ", ", and then ", " and after that ", ", after that ",
                 " and there ", " so I can ", " and also ", " to "],
        "step": ["search for {y}", "turn on bluetooth", "look for {y}", "play {y}", "send {y} a message", "log in",
                 "check the news", "find {y}", "share {y}", "buy {y}", "show me {y}", "scroll down", "take a photo",
                 "turn off the sound", "write to {y}", "call {y}", "see what is new", "pay the bill", "delete {y}",
                 "book {y}", "watch {y}", "listen to {y}", "ask {y}", "check my balance", "order {y}", "say {y}",
                 "look up {y}", "edit {y}", "change the language", "answer {y}", "look around", "set an alarm",
                 "close it", "read {y}"],
        "open": ["open", "open", "open", "Open", "Open", "launch", "launch", "Launch", "start", "Start", "run", "Run",
                 "go to", "Go to", "go into", "switch to", "Switch to", "switch back to", "bring up", "pull up",
                 "open up", "Open up", "start up", "boot up", "load", "Load", "use", "Use", "enter", "jump to", "move to",
                 "head to", "move over to", "jump over to", "hop to", "skip to", "flip to", "go right to", "go straight to",
                 "get over to", "fly to", "walk to", "{w} up", "{w} to", "get into", "bring me into", "take me to", "Take me to", "bring me to", "show me", "Show me", "show", "call up",
                 "activate", "wake up", "visit", "find", "return to", "go back to", "change to", "turn to", "lead me to",
                 "carry me to", "put me in", "try", "begin with"],
        "which": ["", "", "", "", "", "", "", "the ", "the ", "my ", "our ", "this ", "the app ", "the app called ",
                  "the app named ", "the application ", "the program ", "an app called ", "the new ", "the phone's "],
        "sort": ["", "", "", "", "", "", " app", " app", " application", " program", " page", " window"],
        "name": ["{x}", "{x}", "{x}", "{x}", "{x}", "{x}", "'{x}'", '"{x}"'],
        "quoted": ["'{x}'", "'{x}'", "'{x}'", '"{x}"', '"{x}"'],
        "have": ["get", "have", "I want", "I need", "keep", "make", "I want to have", "I want to see", "we need", "Get",
                 "I would like to have", "leave"],
        "running": ["open", "running", "started", "up", "on the screen", "ready", "up and running", "in front", "loaded",
                    "launched"],
        "wish": ["I need", "I want", "I want to use", "I would like to use", "I am looking for", "where is",
                 "I feel like", "it is time for", "what about", "give me", "I would like", "I want to see", "we need",
                 "I have to check", "next is"],
        "where": ["", "", "", " on my phone", " on the phone", " on this phone", " from the home screen", " in the list"],
        "write": ["type", "type", "type", "Type", "type in", "enter", "Enter", "write", "Write", "write down", "input",
                  "key in", "fill in", "put in", "insert", "add", "Type in", "print", "reply", "answer", "send", "spell out"],
        "place": ["put", "Put", "place", "set", "write", "type", "enter", "insert", "add", "drop", "fill", "copy"],
        "words": ["", "", "", "", "the text ", "the words ", "the word ", "the phrase ", "the line ", "the following: ",
                  "the message ", "the sentence ", "the name ", "exactly ", "these words: ", "this text: "],
        "into": [" in the box", " in the search box", " into the field", " in the search field", " in the message",
                 " in the search bar", " into the box", " in the text field", " on this page", " in the first field",
                 " into the search box", " in the form", " in the empty field", " into the message", " in the comment",
                 " in the title", " at the top", " on the line", " in the chat", " there"],
        "atplace": ["in the search box", "in the box", "in the text field", "into the field", "on this page",
                    "in the comment field", "in the form", "in the chat", "at the top", "in the search bar", "over there"],
        "end": ["finish", "Finish", "stop", "Stop", "end", "end the task", "finish the task", "complete the task", "quit",
                "stop the task", "close the task", "stop here", "stop working", "end it", "finish up", "End the task",
                "conclude", "finish now", "stop now"],
        "ended": ["the task is done", "the task is complete", "we are done", "the task is over", "it is done",
                  "that is all", "all done", "everything is done", "the work is done", "you are finished",
                  "nothing is left to do", "that was it", "the job is done", "we can stop"],
        "tell": ["say", "tell me", "answer", "report", "reply", "let me know", "write me", "tell the owner", "announce",
                 "tell them", "your answer is", "the message is", "the answer is", "your message is", "the result is"],
        "bysaying": ["and say", "and say", "and tell me", "with the message", "with the words", "with", "and answer",
                     "and report", "and let me know", "and reply", "with the answer", "with the text", "and announce",
                     "and tell the owner", "and then say", "but tell me", "and leave the message", "saying"],
        "wait": ["wait", "Wait", "wait for", "pause", "pause for", "hold on for", "hold on", "do nothing for", "rest for",
                 "stay here for", "sleep for", "Wait for", "stop for", "wait another", "keep still for", "be patient for",
                 "hang on for", "take a break of"],
        "second": ["seconds", "seconds", "seconds", "more seconds"],
        "loading": ["", "", "", "the page is loading, ", "it is slow, ", "not ready yet, ", "it takes time, ",
                    "the screen is still white, ", "do not touch anything, ", "the network is slow, "],
        "onward": ["", "", "", " for the page", " before you go on", " until it loads", " and go on", " and then continue",
                   " for it to load", " before the next step"],
        "tap": ["tap", "Tap", "tap on", "tap at", "click", "Click", "click at", "touch", "press", "hit", "press on",
                "Touch", "tap once at", "put a finger on", "push"],
        "spot": ["", "", "", "the point ", "the position ", "the screen at ", "the spot ", "the place ", "position ",
                 "the coordinates ", "coordinates ", "the button at ", "the pixel "],
        "there": ["", "", "", " on the screen", " on this page", " once", " with one finger"],
        "back": ["go back", "Go back", "go one step back", "step back", "move back", "navigate back", "get back", "turn back",
                 "back", "Back", "head back", "go one back", "return", "take me back", "bring me back"],
        "topage": ["", "", " to the previous page", " to the previous screen", " one page", " to the last page",
                   " one screen", " to where I was", " to the page before", " one level", " to the last screen"],
        "backkey": ["press back", "press the back key", "tap the back button", "push the back button", "use the back button",
                    "use back", "click back", "press the back button once", "touch the back arrow", "choose back"],
        "go": ["go to", "Go to", "return to", "go back to", "take me to", "move to", "switch to", "show", "bring up",
               "open", "jump to", "exit to", "leave for", "get back to", "Return to"],
        "desk": ["the home screen", "the home screen", "my home screen", "the main screen", "the start screen",
                 "the phone's home screen", "the desktop", "the launcher"],
        "homekey": ["go home", "Go home", "home", "Home", "press home", "press the home key", "press the home button",
                    "tap the home button", "push home", "return home", "take me home", "head home", "jump home",
                    "use the home button", "bring me home"],
        "slide": ["swipe", "Swipe", "slide", "flick", "drag", "scroll by swiping", "Slide", "swipe the screen",
                  "slide the page", "swipe the page", "drag the screen", "move the screen", "flick the page",
                  "swipe with one finger", "swipe the list", "slide your finger"],
        "times": ["", "", "", " once", " a bit", " one time", " a little", " on the screen", " a page"],
        "toward": ["", "", "", "to the "],
    },
}

# The middle parts of training phrasings, by action.
PHRASINGS = {
    "launch": {
        "zh": ["{open}{bit}{which}{name}{sort}{look}", "{open}{bit}{which}{name}{sort}{look}", "{open}{name}", "{open}{name}",
               "把{which}{name}{sort}{forme}{opened}{bit}", "将{name}{forme}{opened}{bit}", "把{name}{opened}", "让{which}{name}{sort}运行",
               "{which}{name}{sort}，{opened}", "{name}，{opened}它", "{name}{sort}{opened}吧", "{open}{name}那个应用",
               "我要的是{name}，{opened}"],
        "en": ["{open} {which}{name}{sort}{where}", "{open} {which}{name}{sort}{where}", "{open} {name}", "{open} {name}",
               "{have} {which}{name}{sort} {running}", "{have} {name} {running}", "{wish} {which}{name}{sort}{where}",
               "{which}{name}{sort}, {open} it", "{name}, {open} that", "it is {name} that I want", "{name}{where}"],
    },
    "type": {
        "zh": ["{write}{words}{quoted}", "{write}{quoted}", "{write}{x}", "{write}：{x}", "{write}{words}：{x}",
               "{into}{write}{words}{quoted}", "{into}{write}{x}", "{into}{write}：{x}", "把{quoted}{written}",
               "将{quoted}{these}{written}", "把{quoted}{written}，{into}{write}", "{write}{quoted}{these}", "{into}把{quoted}{written}"],
        "en": ["{write} {words}{quoted}", "{write} {quoted}", "{write} {words}{x}", "{write} {x}", "{write}: {x}",
               "{write} {words}{quoted}{into}", "{write} {x}{into}", "{place} {words}{quoted}{into}",
               "{atplace} {write} {words}{quoted}", "{atplace}, {write} {quoted}", "{place} {quoted} {atplace}"],
    },
    "finish": {
        "zh": ["{end}{and}{say}{quoted}", "{end}{and}{say}{quoted}", "{end}{and}{say}{x}", "{end}，{say}：{x}", "{say}{quoted}{and}{end}",
               "{say}{quoted}，{end}", "{end}了，{say}{quoted}"],
        "en": ["{end} {bysaying} {quoted}", "{end} {bysaying} {x}", "{ended}, {tell} {quoted}", "{ended}, {tell} {x}",
               "{tell} {quoted} and {end}", "{tell} {quoted}, then {end}", "{ended}: {tell} {quoted}", "{end}, {tell} {quoted}",
               "{end}: {x}"],
    },
    "wait": {
        "zh": ["{loading}{wait}{x}{second}{onward}", "{loading}{wait}{x}{second}{onward}", "{x}{second}后继续", "{wait}一会儿，{x}{second}"],
        "en": ["{loading}{wait} {x} {second}{onward}", "{loading}{wait} {x} {second}{onward}", "{x} seconds of waiting",
               "go on after {x} seconds", "give it {x} seconds", "continue in {x} seconds"],
    },
    "tap": {
        "zh": ["{tap}{spot}{x}{there}", "{tap}{spot}{x}{there}", "在{spot}{x}{there}{tap}", "把{spot}{x}{there}{tap}"],
        "en": ["{tap} {spot}{x}{there}", "{tap} {spot}{x}{there}", "at {x} {tap}", "make a tap at {spot}{x}"],
    },
    "back": {
        "zh": ["{back}", "{back}{page}", "{back}到{page}", "回到{page}", "回{page}", "按返回键", "点返回", "点一下返回", "用返回键", "按一下返回",
               "往回一步"],
        "en": ["{back}{topage}", "{back}{topage}", "{backkey}", "return to the previous screen please",
               "return to the page before", "I want the previous page", "show the previous page"],
    },
    "home": {
        "zh": ["{go}{desk}", "{go}{desk}", "{go}{desk}", "按主页键", "按一下主屏幕键", "点主页键", "按home键", "让我看{desk}", "显示{desk}"],
        "en": ["{go} {desk}", "{go} {desk}", "{homekey}", "back to {desk}", "I want to see {desk}"],
    },
}
for action, zh, en in (("up", "上", "up"), ("down", "下", "down"), ("left", "左", "left"), ("right", "右", "right")):
    PHRASINGS[action] = {
        "zh": [f"{{sheet}}{{toward}}{zh}{{slide}}", f"{{toward}}{zh}{{slide}}", f"{zh}滑", f"{{slide}}，{{toward}}{zh}"],
        "en": [f"{{slide}} {en}{{times}}", f"{{slide}} {en}{{times}}", f"make a swipe {en}", f"{{slide}} to the {en}",
               f"{{slide}} {en}wards"],
    }

UNSEEN_PHRASINGS = {
    "launch": {
        "zh": ["请把{x}给我打开", "麻烦点开{x}看看", "我想进{x}，快", "帮我切到{x}", "劳驾把{x}运行起来", "能不能打开{x}", "打开{x}给我看一下", "把手机上的{x}启动一下",
               "现在就去{x}", "先打开{x}再说", "你好，让{x}启动", "{x}打开一下", "打开那个{x}", "帮我开{x}", "开启{x}", "我想看{x}，打开吧", "快进到{x}里去",
               "请启动“{x}”，然后看看消息", "打开{x}，顺便买点东西", "启动{x}，帮我找一下妈妈"],
        "en": ["would you open {x} for me", "I would like to open {x}", "let me see {x}", "open up the {x} app now",
               "please go over to {x}", "Could you start {x}?", "hey, bring up the {x} app", "I want {x} open",
               "get me to {x}", "now switch over to {x}", "let us open {x}", "Please get {x} running",
               "I need you to launch {x}", "just take me into {x}", "fire up {x}", "ok, load the {x} app, thanks",
               "open {x} and have a look at the pictures", "start {x}, then turn the volume up",
               "launch {x} and read my messages", "the app called {x}, open it"],
    },
    "type": {
        "zh": ["请在框里输入“{x}”", "帮我打“{x}”", "把“{x}”填进搜索框", "我想输入{x}", "在这里写上“{x}”，谢谢", "麻烦在输入框填“{x}”", "请键入：{x}", "搜索框里写“{x}”",
               "把“{x}”这几个字写上", "现在输入以下文字：{x}"],
        "en": ["could you type in '{x}'", "I want to write '{x}'", "put the words '{x}' in the field",
               "please enter the text '{x}'", "fill the box with '{x}'", "now write '{x}' in the search box",
               "type this: {x}", "in the message field write '{x}'", "please key in '{x}' here",
               "enter the words '{x}'"],
    },
    "finish": {
        "zh": ["请结束任务并告诉我“{x}”", "任务做完了，回答“{x}”", "说“{x}”，到此为止", "停，告诉我“{x}”", "完成了，消息是“{x}”", "就到这里，说“{x}”"],
        "en": ["please stop and say '{x}'", "the task is finished, tell me '{x}'", "end here and tell me '{x}'",
               "we are done, say '{x}'", "finish by saying '{x}'", "complete the task with the message '{x}'"],
    },
    "wait": {
        "zh": ["请先等{x}秒再说", "页面没加载完，等待{x}秒", "麻烦停{x}秒", "等个{x}秒", "我想暂停{x}秒钟"],
        "en": ["please hold on {x} seconds", "it is loading, pause for {x} seconds", "could you wait {x} seconds",
               "stay on this page for {x} seconds", "give the page {x} seconds"],
    },
    "tap": {
        "zh": ["请在坐标{x}点一下", "帮我点{x}", "点一点{x}处", "按{x}这个位置", "在屏幕{x}处轻点"],
        "en": ["please tap the position {x}", "click on {x}", "touch the point {x}", "press the screen at {x}",
               "could you tap at {x}"],
    },
    "back": {"zh": ["麻烦退回上一级", "请按一下返回键", "回前一个页面", "我想返回上一页"],
             "en": ["please return to the previous screen", "could you go one page back", "navigate to the last page",
                    "hit the back button"]},
    "home": {"zh": ["请退回桌面", "带我回主屏幕", "我想回手机桌面", "麻烦切到桌面"],
             "en": ["please show me the home screen", "could you press home", "switch back to the home screen",
                    "hit the home button"]},
    "up": {"zh": ["请把屏幕往上滑", "麻烦上滑一下"], "en": ["please slide the screen up", "could you swipe the page up"]},
    "down": {"zh": ["请把屏幕往下滑", "麻烦下滑一下"], "en": ["please slide the screen down", "could you swipe the page down"]},
    "left": {"zh": ["请把屏幕往左滑", "麻烦左滑一下"], "en": ["please slide the screen left", "could you swipe the page left"]},
    "right": {"zh": ["请把屏幕往右滑", "麻烦右滑一下"], "en": ["please slide the screen right", "could you swipe the page right"]},
}

ANSWERS = {
    "launch": 'do(action="Launch", app="{x}")',
    "type": 'do(action="Type", text="{x}")',
    "finish": 'finish(message="{x}")',
    "wait": 'do(action="Wait", duration="{x} seconds")',
    "tap": 'do(action="Tap", element=[{x}])',
    "back": 'do(action="Back")',
    "home": 'do(action="Home")',
    "up": 'do(action="Swipe", start=[500,800], end=[500,200])',
    "down": 'do(action="Swipe", start=[500,200], end=[500,800])',
    "left": 'do(action="Swipe", start=[800,500], end=[200,500])',
    "right": 'do(action="Swipe", start=[200,500], end=[800,500])',
}
FILLED = ("launch", "type", "finish")       # actions whose slot takes a name or a text
