"""The vocabulary of phone-nano, and libllama's tokenisation of text with it.

Byte-level BPE in which every merge makes a piece of one word, one punctuation group or one Chinese character, and (but
for the arguments of actions, " app" and the like) none begins with a space. So a name is cut into the same tokens
wherever it stands, and copying it from an instruction into an answer is copying tokens.
"""

import collections
import re

SPECIAL = ("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>",
           "<|observation|>")
END_OF_TEXT, END_OF_TURN = "<|endoftext|>", "<|user|>"

# What an action consists of besides words, each one token: a character and a word or character behind it.
GROUPS = ("(action", "(message", '="', '",', '")', "=[", "],", "])", " app", " text", " element", " duration", " start",
          " end")

# llama.cpp's pre-tokeniser "glm4" for text whose letters Python and Unicode agree on: words with one character in front,
# up to three digits, punctuation with one space in front, line breaks, spaces.
LETTER = r"[^\W\d_]"
PIECES = re.compile(
    rf"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|(?:[^\w\r\n]|_)?{LETTER}+|\d{{1,3}}"
    rf"| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_spelling():
    """GPT-2's printable stand-in for each byte."""
    spelled, free = [], 256
    for byte in range(256):
        itself = 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or byte >= 0xAE
        spelled.append(chr(byte if itself else free))
        free += not itself
    return spelled


SPELLING = byte_spelling()


def spell(text):
    return "".join(SPELLING[byte] for byte in text.encode())


def hanzi():
    """The 3,755 characters of the first level of GB 2312, the common ones, and the punctuation beside them."""
    cells = (bytes((row, cell)) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
    characters = [cell.decode("gb2312", errors="ignore") for cell in cells]
    return [c for c in characters if c] + list("，。！？、：；“”‘’（）《》「」『』【】…—～·")


class Vocabulary:
    """Bytes, then what merges make, then the special tokens."""

    def __init__(self, words, word_merges):
        """@param words  how often each word of the language occurs; `word_merges` merges are learned from them."""
        self.tokens = list(SPELLING)
        self.ids = {text: number for number, text in enumerate(self.tokens)}
        self.ranks = {}                        # (left, right) -> rank, the best is 0
        self.cut_cache = {}
        for character in hanzi():
            spelled = spell(character)
            for i in range(1, len(spelled)):
                self.add_merge(spelled[:i], spelled[i])
        for left, right in learn_merges(words, word_merges):
            self.add_merge(left, right)
        for group in GROUPS:
            self.add_merge(spell(group[0]), group[1:])
        for text in SPECIAL:
            self.add_token(text)
        self.specials = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")

    def add_token(self, text):
        if text not in self.ids:
            self.ids[text] = len(self.tokens)
            self.tokens.append(text)

    def add_merge(self, left, right):
        assert left in self.ids and right in self.ids, f"{left!r} + {right!r}: not both are tokens"
        if (left, right) not in self.ranks:
            self.ranks[left, right] = len(self.ranks)
            self.add_token(left + right)

    def cut(self, piece):
        """The tokens of one pre-token: the best merge first, and of equal ones the leftmost."""
        known = self.cut_cache.get(piece)
        if known is None:
            symbols = list(spell(piece))
            while len(symbols) > 1:
                rank, at = min((self.ranks.get(pair, 1 << 30), i) for i, pair in enumerate(zip(symbols, symbols[1:])))
                if rank == 1 << 30:
                    break
                symbols[at:at + 2] = [symbols[at] + symbols[at + 1]]
            known = self.cut_cache[piece] = [self.ids[symbol] for symbol in symbols]
        return known

    def encode(self, text):
        """Names of special tokens stand for them, as in a rendered chat template."""
        ids = []
        for part in self.specials.split(text):
            if part in SPECIAL:
                ids.append(self.ids[part])
            else:
                for piece in PIECES.findall(part):
                    ids += self.cut(piece)
        return ids

    def as_json(self):
        return {
            "tokens": self.tokens,
            "special": list(SPECIAL),
            "merges": [" ".join(pair) for pair in self.ranks],
            "end_of_text": self.ids[END_OF_TEXT],
            "end_of_turn": self.ids[END_OF_TURN],
        }


def learn_merges(words, count):
    """Byte pair encoding on words, a Counter; ties go to the pair that sorts first, so it is always the same."""
    cut = {word: list(spell(word)) for word in words}
    merges = []
    for _ in range(count):
        pairs = collections.Counter()
        for word, symbols in cut.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break
        merges.append(best)
        for symbols in cut.values():
            i = 0
            while i + 1 < len(symbols):
                if (symbols[i], symbols[i + 1]) == best:
                    symbols[i:i + 2] = [best[0] + best[1]]
                i += 1
    return merges
