import unittest

from text import normal


class Normal(unittest.TestCase):
    def test_ends_of_lines_make_no_difference(self):
        self.assertEqual(normal("one\r\ntwo\r\n"), "one\ntwo")
        self.assertEqual(normal("one\ntwo"), "one\ntwo")

    def test_what_is_between_words_stays(self):
        self.assertEqual(normal("  one\n\n\ttwo \t\n\n"), "  one\n\n\ttwo")
        self.assertEqual(normal(" \r\n\t"), "")


if __name__ == "__main__":
    unittest.main()
