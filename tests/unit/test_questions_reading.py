"""What free text asks for: answered as common sense would, or not understood."""

from __future__ import annotations

import pytest

from environments.questions import GuessMyCity, QuestionGame, TwentyQuestions
from environments.questions.reading import Guess
from environments.questions.wording import keys, statements

GAMES = {"objects": TwentyQuestions(), "cities": GuessMyCity()}

OBJECTS = """
Is it a living thing? | Cat, Tree | Rock, Apple
Is this object alive? | Dog, Cactus | Car
Is it a type of animal? | Bear | Stuffed animal
Is it a mammal? | Elephant | Tree
Does it have a leg? | Cat, Table, Doll | Car
Does it have four legs? | Cat, Chair | Doll, Boat
Does it have stripes? | Tiger | Lion
Does it eat meat? | Dog, Lion | Cow, Fork
Can it be kept as a pet? | Cat | Lion
Is it a pet or a farm animal? | Cow, Dog | Tiger
Is it an animal that is kept as a pet? | Cat | Lion
Is it an animal with stripes? | Tiger | Watermelon, Cat
Can you eat it? | Apple, Carrot | Fork
Do people eat it? | Peas | Plate
Is it something you can eat? | Grape | Cup
Is it food? | Corn | Pan
Is it used to eat food? | Fork, Spoon | Apple, Car
Do you eat with it? | Fork | Apple
Is it used to cook food? | Pan, Microwave | Potato, Bed
Do you use it for cooking? | Pan | Apple
Can you cook with it? | Pan | Potato
Do you drink from it? | Cup | River
Is it used to hold water? | Cup, Bowl | Paper, Dresser
Is it a container? | Cup | Fork
Is it a fruit or a vegetable? | Apple, Onion | Rock
Is it a fruit that grows on trees? | Peach | Grape, Carrot
Does it grow underground? | Potato | Apple
Is it a citrus fruit? | Orange | Apple
Is it orange? | Carrot, Orange | Cat, Spinach
Is it orange in color? | Carrot | Celery
Is the color red? | Tomato | Banana
Is it usually red? | Strawberry | Celery
Is it green? | Cucumber | Golf ball
Is it found in the kitchen? | Fork, Apple, Refrigerator | Car, Drum
Would you commonly find it in the kitchen? | Knife | Flute
Is it used in the kitchen? | Whisk | Hammer
Is it a kitchen appliance? | Blender | Fork
Is it used to keep food cold? | Refrigerator | Microwave
Is it a man-made object? | Car | Tree
Is it manmade? | Pen | Cow
Is it natural? | River | Bus
Is it made out of wood? | Desk | Fork
Is it made of wood or metal? | Hammer, Guitar | Apple
Is it made mostly of metal? | Wrench | Pillow
Is it made of fabric? | Shirt | Spoon
Is it sharp? | Knife, Cactus | Pillow
Is it used for cutting? | Knife, Scissors, Saw | Cactus, Paper, Drum
Do you cut things with it? | Scissors | Paper
Can it be used to cut things? | Saw | Cactus
Is it a tool used for cutting? | Knife, Saw | Pen
Is it round? | Orange, Drum, Plate | Pencil
Is it a ball? | Baseball, Football | Orange, Plate
Is it long and thin? | Pencil | Grape
Is it electronic? | Computer | Hammer
Does it use electricity? | Refrigerator, Drill | Fork
Does it have a screen? | Television | Piano
Is it used to take photos? | Camera | Hammer
Is it used for communication? | Smartphone | Fork
Can it fly? | Helicopter, Kite | Car
Is it a form of transportation? | Train | Tree
Does it have wheels? | Bus | Boat
Does it have two wheels? | Motorcycle | Car
Is it a vehicle that flies? | Airplane | Kite, Car
Does it travel on water? | Ship | Car, River
Is it used on the road? | Bus | Ship
Can it carry many passengers? | Train | Scooter
Does it have an engine? | Car | Cat
Is it clothing? | Shirt | Ring
Is it something you wear? | Hat, Ring | Fork
Do people wear it? | Scarf | Hammer
Do you wear it on your feet? | Socks | Hat
Do you wear it on your head? | Helmet | Shoes
Is it worn on the wrist? | Watch, Bracelet | Ring, Gloves
Is it worn on the ears? | Earring, Headphone | Cat, Hat
Is it worn around the neck? | Scarf, Necklace | Belt
Does it come in pairs? | Shoes, Socks | Hat
Is it a piece of jewelry? | Brooch | Belt
Is it used to tell time? | Watch | Necklace
Is it furniture? | Table | Pillow
Is it a piece of furniture used for sleeping? | Bed | Chair, Pillow
Is it used for sleeping? | Bed, Mattress | Nightstand, Dresser
Is it used in the bedroom? | Nightstand, Dresser | Boat
Is it used for sitting? | Chair, Couch | Key
Is it used in an office? | Stapler | Lion
Can you write with it? | Pencil, Pen | Paper
Do you write on it? | Paper | Pen
Is it used for writing or drawing? | Marker | Fork
Does it contain ink? | Pen | Pencil
Is it used to hold papers together? | Stapler, Glue | Rock
Is it sticky? | Glue | Stapler, Fork
Is it used in the bathroom? | Toothbrush | Drill
Is it a musical instrument? | Harp | Headphone
Does it have strings? | Guitar, Kite | Drum
Is it a string instrument? | Violin | Kite, Tennis racket
Is it a woodwind instrument? | Clarinet, Saxophone | Trumpet
Is it a brass instrument? | Trumpet | Saxophone, Drum
Is it made of brass? | Saxophone | Fork
Do you blow into it? | Flute | Violin
Is it used in sports? | Helmet | Piano
Is it used to play a sport? | Volleyball | Desk
Is it used over a net? | Tennis ball | Basketball
Is it a toy? | Doll | Hammer
Is it for children? | Lego | Saw
Is it art? | Painting, Sculpture | Pencil
Is it used to make art? | Paintbrush, Pencil | Painting, Sculpture
Is it used for painting? | Paintbrush | Painting
Is it a body of water? | Lake | Cup
Is it flowing? | River | Lake
Is it made of stone? | Rock | Peach
Is it a plant? | Cactus | Cat
Is it used in a garden? | Rake, Gloves | Harp
Is it a gardening tool? | Rake | Gloves
Is it shaped like an animal? | Stuffed animal, Cat | Doll
Is it used to dig? | Shovel | Drill
Is it used to mow grass? | Lawn mower | Rake
Is it used to water plants? | Watering can | Cup
Is it used to hit nails? | Hammer | Saw
Is it used to open doors? | Key | Car
Is it bigger than a person? | Elephant, Car | Ring
Can it fit in your pocket? | Key | Car
Would you describe it as a tool? | Wrench | Bus
"""

NOT_UNDERSTOOD = """
Can you cook it? Can it be cooked? Does it have ears? Does it have hair? Does it have fur?
Does it have feet? Does it have a door? Does it have doors? Can it be cut? Can you cut it?
Can it be used in water? Does it float? Is it used by hand? Is it used with your hands?
Is it thin? Is it long? Is it flat? Is it a continent? Is it dangerous? Is it painted?
Can you drink it? Does it sleep? Does it have teeth? Is it displayed? Can it be eaten raw?
Does it need batteries? Is it an accessory? Is it soft? Does it grow? Does it contain water?
Is it sold in a store? Does it have a hole? Does it have nails? Is it used for entertainment?
Does it have numbers? Does it make sound? Is it worn on the finger? Can you throw it?
Is it found on a wall? Is it used for eating? Is it used by women? Is it worn by women?
Is it used by children? Do children play with it? Can you play with it? Can you ride it?
Can you sit on it? Can you put things in it? Is it found in the office? Is it larger than a dog?
Is it bigger than an animal? Is it not an animal? Isn't it an animal? Is it never used in sports?
Is it an animal or not? Is it the color? Is it a wild animal? Is it a carnivore? Can it swim?
Does it live in water? Is it in a tree? Is it in a car? Is it like a cat? Is it for a cat?
Does it live in a forest? Is it part of a car? Is it made by a cat? Is it small? Is it heavy?
Is it a cat or a dog? Is it worn by both men and women? Is it a vehicle without wheels?
Is it a vehicle with three wheels? Is it red, green or blue? Is it an animal, a pet or a toy?
Is it used to hold things? Is it used to build things? Does it have leaves? Was it an animal?
Does it have a motor? Is it a kitchen utensil? Is it found in a bedroom? Can it hold water?
Does it have buttons? Does it have a blade? Is it cold? Is it warm? Is it a red fruit and a lie?
What color is it? What is it? Why is it alive? alive animal Is it? Tell me. Is it used for it?
Is it yellow on the inside? Is it always red? Is it only used in sports? Is it a bed frame?
Is it more than an animal? Is it almost an animal? Is it an animal's toy? Is it a painted toy?
"""

CITIES = """
Is your city in Europe? | Paris, Istanbul | Tokyo
Are you from Asia? | Tokyo | Lima
Do you live in Africa? | Cairo | Rome
Is the city located in South America? | Lima | Toronto
Is it a European city? | Rome | Cairo
Are you from a country in South America? | Lima | Rome
Is it in the US? | Houston | Toronto
Is it in the USA? | Chicago | Mexico City
Is it in China? | Beijing, Hong Kong | Tokyo, Taipei
Is it in mainland China? | Beijing | Hong Kong
Is it a Chinese city? | Xian | Seoul
Is it in England? | London | Paris
Is it in Korea? | Seoul, Pyong Yang | Tokyo
Is it a capital city? | Rome, Beijing | Sydney, Toronto
Are you from the capital of your country? | Cairo | Giza
Is it the capital of China? | Beijing | Shanghai, Tokyo
Is it the capital of a country in Europe? | Madrid | Tokyo, St Petersburg
Is it a port? | Houston, Guangzhou, Buenos Aires, Guayaquil | Beijing, Quezon City, Madrid
Does it have a port? | Busan, London, Wuhan | Tehran
Is it a port city in China? | Shanghai | Beijing, Yokohama
Is your city a port and in Asia? | Osaka | London, Delhi
Is it a coastal city? | Sydney, Buenos Aires, Medan | Beijing, Quezon City
Is it by the sea? | Casablanca | Madrid
Is it in the southern hemisphere? | Sydney, Jakarta | Medan, Cairo
Is it in the northern hemisphere? | London, Medan | Lima
Is it in the tropics? | Singapore | Sao Paulo
Did your city host the Summer Olympics? | Rome | Cairo
Has your city ever hosted the Olympics? | Seoul | Nagoya
Is it a former capital of its country? | Chongqing, Quezon City, Calcutta | Chicago
Was it once the capital of its country? | Rio de Janeiro | Houston
Was it part of the Soviet Union? | Kiev, Tashkent | Budapest
Is it in the EU? | Paris | London
Is it in the Middle East? | Baghdad | Lima
Is it in a Muslim country? | Karachi | Rome
Is it on an island? | Singapore, Jakarta | Madrid
Is your city famous for pandas? | Chengdu | Beijing
Is it near the pyramids? | Giza | Rome
Is it on the Nile? | Cairo | Alexandria
Is it on the Great Lakes? | Chicago | New York
Is it the second largest city in its country? | Los Angeles | New York
Is it in Japan or China? | Osaka, Xian | Seoul
Is it known for its films? | Bombay, Hong Kong | Zibo
"""

CITIES_NOT_UNDERSTOOD = """
Does it have an airport? Is it the main airport? Is it in America? Is your city in the Americas?
Does it have cars? Does it have springs? Is there a film about it? Is it a state capital?
Is it near the sea? Is it near the ocean? Is it warm? Is it a municipality? Is it in the mountains?
Is it at high altitude? Does it have a botanical garden? Is it a beer? Is it home to Hollywood?
Is it the second largest city in Asia? Is it an ancient capital? Was it the capital?
Did it host the Winter Olympics? Is it in northern India? Is it near China? Is it south of China?
Is it in the north of Brazil? Is it bigger than Paris? Is it not in Asia? Is it a continent?
Do people speak Spanish there? Is Spanish spoken there? Are you near Paris? What country is it in?
Which country are you from? What continent and language? Is it language? What is your city?
Is it a former capital? Does it have a film industry? Does it have a harbor? Is it tropical?
Is it an island? Is your country in Asia?
Do you like Asian food? Is it the largest city in its country? Is the Nile in it?
"""


def answer(game: QuestionGame, thing: str, question: str) -> tuple[str, bool]:
    task = next(n for n, names in enumerate(game.table.names) if thing in names)
    game.reset(options={"task": task})
    observation, _, _, _, info = game.step(question)
    return observation, info["valid"]


def rows(table: str) -> list[tuple[str, list[str], list[str]]]:
    """A question, the things it is true of, and things it is not true of."""
    cells = [
        [[name.strip() for name in cell.split(",")] for cell in line.split("|")]
        for line in table.strip().splitlines()
    ]
    return [(question, true_of, false_of) for (question,), true_of, false_of in cells]


def questions(text: str) -> list[str]:
    return [f"{each.strip()}?" for each in text.replace("\n", " ").split("?") if each.strip()]


@pytest.mark.parametrize(("name", "table"), [("objects", OBJECTS), ("cities", CITIES)])
def test_what_is_understood_is_answered_truthfully(name: str, table: str) -> None:
    for question, true_of, false_of in rows(table):
        found = {thing: answer(GAMES[name], thing, question) for thing in true_of + false_of}
        expected = {thing: ("Yes." if thing in true_of else "No.", True) for thing in found}
        assert found == expected, question


@pytest.mark.parametrize(
    ("name", "text"), [("objects", NOT_UNDERSTOOD), ("cities", CITIES_NOT_UNDERSTOOD)]
)
def test_what_the_table_does_not_know_is_not_understood(name: str, text: str) -> None:
    game = GAMES[name]
    read = {question: game.reader.read(question) for question in questions(text)}
    assert {question: found for question, found in read.items() if found is not None} == {}


@pytest.mark.parametrize(
    ("text", "thing"),
    [
        ("Is it an orange?", "Orange"),
        ("orange", "Orange"),
        ("Is it the Orange?", "Orange"),
        ("My guess is the orange.", "Orange"),
        ("Is it a painting?", "Painting"),
        ("Is it a watch?", "Watch"),
        ("Could it be a drum?", "Drum"),
        ("I think it's a pair of pants!", "Pants"),
        ("Are they pairs of scissors?", "Scissors"),
        ("Is it tomatoes?", "Tomato"),
        ("So, is it paper?", "Paper"),
        ("Final answer: the Cooking Pot", "Cooking pot"),
        ("Are you thinking of a knife?", "Knife"),
        ("Is it perhaps a cat?", "Cat"),
    ],
)
def test_a_guess_names_the_thing_as_a_noun(text: str, thing: str) -> None:
    game = GAMES["objects"]
    number = next(n for n, names in enumerate(game.table.names) if names[0] == thing)
    assert game.reader.read(text) == Guess(number)


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("word", ["not", "never", "only", "hardly", "no longer", "more", "three"])
def test_a_word_that_changes_the_meaning_is_never_passed_over(name: str, word: str) -> None:
    reader = GAMES[name].reader
    for fact in GAMES[name].table.facts:
        auxiliary, it, *rest = fact.question.split()
        for place in range(len(rest)):
            asked = " ".join([auxiliary, it, *rest[:place], word, *rest[place:]])
            assert reader.read(asked) is None, asked


@pytest.mark.parametrize("name", GAMES)
def test_every_phrase_of_the_table_can_be_asked(name: str) -> None:
    forms = {
        "is": "is it {}", "be": "is it {}", "has": "does it have {}", "can": "does it {}",
        "to": "is it used to {}", "was": "was it {}",
    }  # fmt: skip
    for fact in GAMES[name].table.facts:
        for phrase in () if fact.is_open else fact.phrases:
            form, _, rest = phrase.partition(" ")
            if form == "you":
                asked = f"is it something you {rest}"
            else:
                asked = forms.get(form, f"is it {form} {{}}").format(rest)
            game = GAMES[name]
            assert game.reader.read(asked) == game.reader.read(fact.question), phrase
            assert keys(phrase)


def test_wordings_of_one_statement() -> None:
    for question in ("is it used to cut", "is it for cutting", "do you cut with it"):
        assert "to cut" in statements(question)
    for question in ("do you wear it on head", "is it something that people wear on head"):
        assert "you wear on head" in statements(question)
    assert statements("is it mostly made of metal") == ("mostly made of metal", "made of metal")
    assert statements("purple it is") == ()
