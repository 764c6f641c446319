/** The words of each language that are worth completing: keywords, basic types, and what every program calls. */
import type { LanguageKey } from "./language";

const C = `auto bool break case char const continue default do double else enum extern false float for goto if inline
  int long NULL register restrict return short signed sizeof static struct switch true typedef union unsigned void
  volatile while include define malloc calloc realloc free printf scanf strlen strcmp strcpy memcpy memset size_t
  int32_t int64_t uint32_t uint64_t`;
const JAVASCRIPT = `arguments async await break case catch class const constructor continue debugger default delete do
  else export extends false finally for from function get if import in instanceof let new null of return set static
  super switch this throw true try typeof undefined var void while yield Array Boolean Date Error Infinity JSON Map
  Math NaN Number Object Promise RegExp Set String Symbol console document window isNaN parseFloat parseInt`;

const WORDS: Record<LanguageKey, string> = {
  c: C,
  cpp: `${C} alignas catch class concept constexpr constinit consteval decltype delete dynamic_cast explicit export
    final friend mutable namespace new noexcept nullptr operator override private protected public reinterpret_cast
    requires static_assert static_cast template this throw try typeid typename using virtual cin cout cerr endl
    deque function list make_pair make_shared make_unique map pair priority_queue push_back queue set shared_ptr sort
    stack std string tuple unique_ptr unordered_map unordered_set vector`,
  csharp: `abstract as async await base bool break byte case catch char checked class const continue decimal default
    delegate do double else enum event explicit extern false finally fixed float for foreach get goto if implicit in
    init int interface internal is lock long nameof namespace new null object operator out override params private
    protected public readonly record ref required return sbyte sealed set short sizeof stackalloc static string struct
    switch this throw true try typeof uint ulong unchecked unsafe ushort using value var virtual void volatile when
    where while with yield Console Dictionary HashSet IEnumerable List Math Queue Stack StringBuilder Task WriteLine`,
  css: `absolute align-items animation auto background background-color block border border-radius bottom
    box-shadow box-sizing calc center color column cursor display fixed flex flex-direction flex-wrap font-family
    font-size font-weight gap grid grid-template-columns height hidden important inherit inline-block justify-content
    left letter-spacing line-height list-style margin max-height max-width media min-height min-width none nowrap
    opacity outline overflow padding pointer position relative right row solid space-between sticky text-align
    text-decoration text-transform top transform transition transparent var visibility white-space width wrap z-index`,
  go: `any append bool break byte cap case chan clear close comparable complex64 complex128 const continue copy default
    defer delete else error fallthrough false float32 float64 for func go goto if import int int8 int16 int32 int64
    interface iota len make map max min new nil package panic print println range recover return rune select string
    struct switch true type uint uint8 uint16 uint32 uint64 uintptr var fmt Errorf Printf Println Sprintf`,
  html: `article aside body br button canvas class div doctype fieldset figure footer form h1 h2 h3 head header height
    href html id img input label legend li link main meta nav ol option p placeholder pre script section select span
    src strong style summary svg table tbody td template textarea th thead title tr type ul value video width`,
  java: `abstract assert boolean break byte case catch char class const continue default do double else enum extends
    false final finally float for goto if implements import instanceof int interface long native new null package
    permits private protected public record return sealed short static strictfp super switch synchronized this throw
    throws transient true try var void volatile while yield ArrayDeque ArrayList Arrays Boolean Character Collections
    Comparator Deque Double HashMap HashSet Integer Iterator LinkedList List Long Map Math Object Optional
    Override PriorityQueue Queue Scanner Set Stack String StringBuilder System TreeMap TreeSet println`,
  javascript: JAVASCRIPT,
  kotlin: `abstract actual annotation as break by catch class companion const constructor continue crossinline data do
    else enum expect external false final finally for fun get if import in infix init inline inner interface internal
    is it lateinit lazy noinline null object open operator out override package private protected public reified
    return sealed set super suspend tailrec this throw true try typealias typeof val value var vararg when where while
    Any ArrayDeque Array Boolean Char Double Float Int IntArray List Long Map MutableList MutableMap MutableSet Pair
    Set String Unit arrayOf listOf mapOf mutableListOf mutableMapOf mutableSetOf println setOf`,
  php: `abstract and array as bool break callable case catch class clone const continue declare default do echo else
    elseif empty enum extends false final finally float fn for foreach function global goto if implements include
    include_once instanceof insteadof int interface isset iterable list match mixed namespace new null object or print
    private protected public readonly require require_once return self static string switch this throw trait true try
    unset use var void while xor yield array_filter array_map array_merge array_pop array_push array_reduce
    array_shift array_slice count explode implode in_array intdiv sort str_replace strlen strpos substr usort`,
  python: `and as assert async await break case class continue def del elif else except False finally for from global
    if import in is lambda match None nonlocal not or pass raise return True try type while with yield abs all any
    append bool bytes chr collections defaultdict deque dict divmod enumerate Exception filter float format frozenset
    getattr hasattr hash heapq input int isinstance items iter itertools join keys KeyError len list map math max min
    next object open ord pow print property range repr reversed round self set slice sorted split staticmethod str
    sum super tuple TypeError typing ValueError values zip __init__ __name__`,
  ruby: `alias and attr_accessor attr_reader attr_writer begin break case class def defined? do else elsif end ensure
    extend false for if in include initialize lambda loop module new next nil not or private proc protected public
    puts raise redo require require_relative rescue retry return self super then true undef unless until when while
    yield Array Hash Integer Set String Struct each each_with_index inject length map reduce reject select sort
    sort_by times`,
  rust: `as async await bool break char const continue crate dyn else enum extern f32 f64 false fn for i8 i16 i32 i64
    i128 if impl in isize let loop match mod move mut pub ref return self Self static str struct super trait true type
    u8 u16 u32 u64 u128 union unsafe use usize where while Box BTreeMap Clone Copy Debug Default Err HashMap HashSet
    Iterator None Ok Option Ord PartialEq Rc RefCell Result Some String Vec VecDeque assert assert_eq collect derive
    expect format into_iter iter println panic unwrap vec`,
  sql: `add all alter and any as asc avg begin between bigint boolean by case cast char check coalesce column commit
    constraint count create cross current_date current_timestamp date decimal default delete desc distinct drop else
    end except exists explain false fetch first float foreign from full group having if in index inner insert int
    integer intersect interval into is join key last lateral left like limit max min natural not null nullif numeric
    offset on or order outer over partition primary rank real references returning right rollback row_number rows
    select set smallint substring sum table temporary text then timestamp trigger true truncate union unique update
    upper using values varchar view when where window with`,
  typescript: `${JAVASCRIPT} abstract any as asserts bigint boolean declare enum implements infer interface is keyof
    namespace never number object override private protected public readonly satisfies string symbol type unique
    unknown Partial Pick Omit Readonly Record`,
};

export function keywordsOf(language: LanguageKey): string[] {
  return [...new Set(WORDS[language].split(/\s+/))];
}
