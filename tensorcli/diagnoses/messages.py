"""What torch, NumPy and Python say, matched in this one place: the words change between versions.

Each pattern has a name; entries ask `said(failure, name)`. The tests see to it that every pattern still matches
something that the installed torch says.
"""

import re

from tensorcli.diagnoses import Failure

PATTERNS: dict[str, str] = {
    # matrix products
    "inner sizes": r"Expected dim 0 size (?P<sparse>\d+), got \d+|multi_dot\(\): tensors"
    r"|shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)"
    r"|size mismatch, got input \((\d+)\), mat \((\d+)x(\d+)\), vec \((\d+)\)"
    r"|inconsistent tensor size, expected tensor \[(\d+)\] and src \[(\d+)\]"
    r"|Expected size for first two dimensions of batch2 tensor to be: \[\d+, \d+\] but got: \[\d+, \d+\]"
    r"|inner\(\) the last dimension must match on both input tensors"
    r"|has a mismatch in its core dimension|shapes \(.*\) and \(.*\) not aligned",
    # devices
    "devices": r"Expected all tensors to be on the same device|to have the same device type"
    r"|on the same device.*(?:found|got)|Expected .* on the same device"
    r"|is on (?:cpu|cuda:\d+), different from other tensors|tensors? .*(?:different|same) device"
    r"|is not on the expected device",
    "index device": r"indices should be either on",
    "weight device": r"Input type \(.*\) and (?:weight|bias) type \(.*\) should be the same",
    "no cuda": r"not compiled with CUDA|No CUDA GPUs are available|Found no NVIDIA driver|no CUDA-capable device"
    r"|CUDA driver (?:version is insufficient|initialization failed)|Cannot access accelerator device",
    "no device": r"not (?:linked with support for|compiled with (?!CUDA)) ?(\w+) (?:devices|enabled)"
    r"|with arguments from the '(?!CPU|CUDA|Meta|Sparse)(\w+)' backend",
    "ordinal": r"invalid device ordinal",
    "generator device": r"Expected a '(\w+)' device type for generator but found '(\w+)'",
    "device name": r"Expected one of cpu, cuda.* device type at start of device string: (\w+)"
    r"|Invalid device string: '(\w*)'",
    "contracted": r"contracted dimensions need to match, but first has size (\d+) in dim -?\d+ and second has size "
    r"(\d+)",
    "product ranks": r"Expected 1-D argument|"
    r"(?:vector|matrix|matrices|1D tensors|2D tensors|3D tensor|batch\d|mat\d?|self|input) ?"
    r"(?:\+ )?.*(?:expected|must be|must have)",
    "broadcast": r"The size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\) "
    r"at non-singleton dimension (\d+)",
    "in-place shape": r"output with shape \[([\d, ]*)\] doesn't match the broadcast shape \[([\d, ]*)\]",
    "expand": r"The expanded size of the tensor \((\d+)\) must match the existing size \((\d+)\) at non-singleton "
    r"dimension \d+\.\s+Target sizes: \[([\d, ]*)\]\.\s+Tensor sizes: \[([\d, ]*)\]",
    "expand ranks": r"number of sizes provided \(\d+\) must be greater or equal to the number of dimensions",
    "repeat": r"Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor",
    "dim": r"Dimension out of range \(expected to be in range of \[(-?\d+), (-?\d+)\], but got (-?\d+)\)"
    r"|Dimension specified as (?P<zero>-?\d+) but tensor has no dimensions",
    "empty": r"input\.numel\(\) == 0|Expected reduction dim \d+ to have non-zero size|must be non-empty$"
    r"|(?:over|on) an empty (?:dimension|tensor)",
    "permute": r"input\.dim\(\) = (\d+) is not equal to len\(dims\) = (\d+)",
    "repeated dim": r"repeated dim|duplicate dims|dims should not contain duplicate",
    "matrix transpose": r"t\(\) expects a tensor with <= 2 dimensions"
    r"|only supported on matrices or batches of matrices"
    r"|only supported on 0-D or 2-D tensors|tensor\.(?:T|H|mT|mH)[ (].*dimension",
    "classes batch": r"Expected input batch_size \((\d+)\) to match target batch_size \((\d+)\)",
    "classes dtype": r"expected target dtype to be Long or Byte, but got (\w+)"
    r"|Expected floating point type for target with "
    r"class probabilities, got (\w+)|expected scalar type Long but found (\w+)"
    r"|one_hot is only applicable to index tensor",
    "classes rank": r"only batches of spatial targets supported|size mismatch \(got input: "
    r"|0D or 1D target tensor expected, multi-target not supported|multi-target not supported",
    "classes size": r"Expected target size \[([\d, ]*)\], got \[([\d, ]*)\]",
    "class": r"Target (-?\d+) is out of bounds|Class values must be (?:smaller than num_classes|non-negative)",
    "loss sizes": r"[Uu]sing a target size \(torch\.Size\(\[([\d, ]*)\]\)\) that is different to the input size "
    r"\(torch\.Size\(\[([\d, ]*)\]\)\)|Target size \(torch\.Size\(\[([\d, ]*)\]\)\) must be the same as input size "
    r"\(torch\.Size\(\[([\d, ]*)\]\)\)",
    "result dtype": r"result type (\w+) can't be cast to the desired output type ([\w ]+)",
    "loss dtype": r"Integral inputs not supported|Found dtype (\w+) but expected (\w+)",
    "probabilities": r"all elements of (?:input|target) should be between 0 and 1",
    "embedding dtype": r"Expected tensor for argument #1 'indices' to have one of the following scalar types: "
    r"Long, Int",
    "embedding weight": r"'weight' must be 2-D",
    "cat": r"Sizes of tensors must match except in dimension (\d+)\. Expected (?:size )?(\d+) but got (?:size "
    r")?(\d+) "
    r"for tensor number (\d+)",
    "cat ranks": r"Tensors must have same number of dimensions: got (\d+) and (\d+)"
    r"|zero-dimensional tensor \(at position (\d+)\) cannot be concatenated",
    "stack": r"stack expects each tensor to be equal size, but got \[([\d, ]*)\] at entry 0 and "
    r"\[[\d, ]*\] at entry (\d+)",
    "ragged": r"expected sequence of length (\d+) at dim (\d+) \(got (\d+)\)|^not a sequence"
    r"|'(?:list|tuple)' object cannot be interpreted|must be real number, not (?:list|tuple)",
    "list of tensors": r"only one element tensors can be converted|only tensors with one element|not a sequence"
    r"|expected sequence of length|only integer tensors of a single element|can be converted to Python scalars",
    "einsum sizes": r"subscript (\w) has size (\d+) for operand \d+ which does not broadcast with previously "
    r"seen size "
    r"(\d+)",
    "einsum repeated": r"subscript (\w) is repeated for operand",
    "channels": r"expected input\[([\d, ]*)\] to have (\d+) channels, but got (\d+) channels",
    "layer rank": r"Expected \d+D \(unbatched\) or \d+D \(batched\) input to"
    r"|non-empty \d+D or \d+D \(batch mode\) tensor expected for input"
    r"|pool\d?d?\(?\)?:? Expected \d+D or \d+D|Only 3D, 4D and 5D input Tensors supported"
    r"|expected stride to be a single integer value or a list of \d values to match the convolution dimensions"
    r"|Expected \d-dimensional input for \d-dimensional weight"
    r"|Expected \d+D or \d+D \(batch mode\) tensor|only non-empty|Padding length should be less than",
    "padding": r"Padding length must be divisible by 2",
    "weight rank": r"weight should have at least three dimensions",
    "pool empty": r"Invalid computed output size: 0",
    "groups": r"channels in input to be divisible by num_groups, but got input of shape \[([\d, ]*)\] and "
    r"num_groups=(\d+)",
    "cell batch": r"Input batch size (\d+) doesn't match hidden\d? ?batch size (\d+)",
    "kernel": r"Calculated padded input size per channel: \(([\dx ]*)\)\. Kernel size: \(([\dx ]*)\)",
    "pool": r"Given input size: \(([\dx -]*)\)\. Calculated output size: \(([\dx -]*)\)",
    "conv bias": r"expected bias to be 1-dimensional with (\d+) elements, but got bias of size \[([\d, ]*)\]",
    "norm features": r"running_mean should contain (\d+) elements not (\d+)",
    "layer norm": r"Given normalized_shape=\[([\d, ]*)\], expected input with shape \[[*\d, ]*\], but got input "
    r"of size"
    r" ?\[([\d, ]*)\]",
    "group norm": r"number of channels in input, but got weight of shape \[([\d, ]*)\]",
    "norm rank": r"expected (\d+D(?: or \d+D)?) input \(got (\d+)D input\)",
    "norm batch": r"Expected more than 1 value per channel when training",
    "rnn features": r"input\.size\(-1\) must be equal to input_size\. Expected (\d+), got (\d+)"
    r"|input has inconsistent input_size: got (?P<given>\d+) expected (?P<wanted>\d+)",
    "rnn hidden": r"Expected hidden(?:\[\d\])? size \(([\d, ]*)\), got \[([\d, ]*)\]",
    "rnn rank": r"(?:LSTM|GRU|RNN|LSTMCell|GRUCell|RNNCell): Expected input to be|hx should also be|input must have",
    "attention features": r"was expecting embedding dimension of (\d+), but got (\d+)",
    "attention batch": r"batch number of src and tgt must be equal|key's sequence and batch dims"
    r"|must be equal|key shape .* does not match value shape",
    "index": r"index (-?\d+) is out of bounds for dimension (\d+) with size (\d+)",
    "select": r"select\(\): index (-?\d+) out of range for tensor of size \[([\d, ]*)\] at dimension (\d+)",
    "take": r"tried to access index (-?\d+) on a tensor of (\d+) elements",
    "index in self": r"index out of range in self",
    "narrow": r"start \((-?\d+)\) \+ length \((\d+)\) exceeds dimension size \((\d+)\)",
    "narrow start": r"start out of range \(expected to be in range of \[(-?\d+), (-?\d+)\], but got (-?\d+)\)",
    "top k": r"selected index k out of range|selected number k out of range",
    "index dtype": r"tensors used as indices must be|Expected dtype int\d+(?:/| or )int\d+ for index"
    r"|(?:Long|long|int64).*index|index.*(?:Long|long|int64)",
    "mask dtype": r"only supports boolean masks|expected BoolTensor for mask|mask.*must be bool",
    "condition": r"expected condition to be a boolean",
    "assign kind": r"can't assign an? [\w.]+ to a torch\.",
    "float index": r"only integers, slices \(`:`\), ellipsis|invalid data type 'str'|slice indices must be integers",
    "mask": r"The shape of the mask \[([\d, ]*)\] at index (\d+) does not match the shape of the indexed tensor "
    r"\[([\d, ]*)\] at index (\d+)",
    "too many": r"too many indices for tensor of dimension (\d+)",
    "no index": r"invalid index of a 0-dim tensor",
    "negative step": r"step must be greater than zero",
    "assign": r"shape mismatch: value tensor of shape \[([\d, ]*)\] cannot be broadcast to indexing result of shape "
    r"\[([\d, ]*)\]",
    "index shapes": r"indexing tensors could not be broadcast together with shapes (.*)",
    "gather ranks": r"Index tensor must have the same number of dimensions as (?:input|self|src) tensor"
    r"|input and indices should have the same number of dimensions",
    "gather sizes": r"Size does not match at dimension|[Ee]xpected index \[[\d, ]*\] to be (?:no larger"
    r"|smaller) than",
    "vector index": r"Index is supposed to be a vector|should have dimension 1 or 0|[Ii]ndex is supposed to be"
    r"|Number of indices \(\d+\) should be equal to|Source/destination tensor must have same slice shapes",
    "two inferred": r"only one dimension can be inferred",
    "view": r"view size is not compatible with input tensor's size and stride",
    "unflatten": r"unflatten: Provided sizes \[([-\d, ]*)\] don't multiply up to the size of dim (\d+) \((\d+)\)",
    "split": r"split_with_sizes expects split_sizes to sum exactly to (\d+) \(input tensor's size at dimension "
    r"(-?\d+)\), "
    r"but got split_sizes=\[([-\d, ]*)\]",
    "pieces": r"(?:not enough|too many) values to unpack \(expected (\d+)",
    "chunks": r"chunk expects `chunks` to be greater than 0, got: (-?\d+)"
    r"|split_size can only be 0 if dimension size is 0",
    "reshape": r"shape '\[(.*?)\]' is invalid for input of size (\d+)",
    # names, calls, types
    "no attribute": r"(?:(?P<space>[\w.]+) has no|has no attribute) '?(?P<name>\w+)'?\s*$",
    "unbound": r"(?:local|free) variable '(\w+)'",
    "not callable": r"^'([\w.]+)' object is not callable",
    "without brackets": r"builtin_function_or_method|method_descriptor|method-wrapper"
    r"|'(?:method|function|type|wrapper_descriptor)'|\b(?:method|function)\b(?: object)?|is not a Module subclass"
    r"|context manager protocol"
    r"|type '\w+' is not subscriptable|not type$",
    "must be": r"argument '(?P<name>\w+)' (?:\(position (?P<position>\d+)\) )?must be (?P<wanted>.+?), not "
    r"(?P<got>.+)$"
    r"|expected (?P<other>Tensor) as element",
    "must be a tensor": r"^(?P<function>\w+)\(\): argument '(?P<name>\w+)' "
    r"(?:\(position (?P<position>\d+)\) )?must be Tensor, not (?P<got>.+)$",
    "array sizes": r"Cannot interpret '\d+' as a data type",
    "combination": r"received an invalid combination of arguments - got \((.*)\), but expected",
    "unexpected keyword": r"got an unexpected keyword argument '(\w+)'|'(\w+)' is an invalid keyword argument",
    "missing arguments": r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)",
    "too many arguments": r"takes (?:from \d+ to |exactly |at most )?(?:\w+) (?:positional |keyword )?arguments? ?.*"
    r"(?:given|but)|takes (?:no|exactly one|\d+) (?:keyword )?arguments?|expected at (?:most|least) \d+ arguments?"
    r"|expected \d+ arguments?",
    "multiple values": r"got multiple values for (?:keyword )?argument '(\w+)'",
    "size element": r"failed to unpack the object at pos \d+|type must be tuple of ints,\s?but got",
    "clamp": r"At least one of 'min' or 'max' must not be None",
    "not parameters": r"object is not iterable|params argument given to the optimizer",
    "not a layer": r"is not a Module subclass",
    "element type": r"expected Tensor as element \d+ in argument \d+, but got (?!Tensor)(\w+)",
    "operand types": r"unsupported operand type|not supported between instances of|can only concatenate"
    r"|bad operand type"
    r"|can't multiply sequence|only integer tensors of a single element can be converted to an index|must be str, not"
    r"|only integer scalar|unsupported format string",
    "list index": r"(?:list|tuple|string) indices must be integers"
    r"|only integer tensors of a single element can be converted"
    r"|indices must be integers",
    "unpack": r"values to unpack|cannot unpack non-iterable|iteration over a 0-d (?:tensor|array)",
    "number range": r"^Invalid ([a-z_ ]+?)(?: value)?(?: at index \d)?: (-?[\d.e+-]+)"
    r"|(probability) has to be between 0 and 1, but got (\S+)|negative (dimension) (-?\d+)"
    r"|(Dimension) size must be non-negative|expects (std) >= 0\.0, but found std (-?\S+)",
    "no number": r"cannot be interpreted as an integer|only integer tensors of a single element can be converted"
    r"|slice indices must be integers",
    "no iterator": r"object is not an iterator",
    "no items": r"object is not subscriptable",
    "no parameter": r"cannot assign '.*' as parameter",
    "no length": r"has no len\(\)|len\(\) of (?:a 0-d tensor|unsized object)",
    "not iterable": r"object is not iterable|iteration over a 0-d|argument of type '\w+' is not iterable",
    "none": r"NoneType",
    "no dtype": r"Could not infer dtype of (\w+)|invalid data type 'str'|too many dimensions '(\w+)'"
    r"|can't convert .* to (?:Tensor|tensor)",
    "no number in text": r"invalid literal for int|could not convert string to float",
    "real number": r"must be (?:a string or a )?real number|a real number",
    # dtypes
    "mixed dtypes": r"same (?:d|data ?)types?\b|dtypes must be the same|same scalar type|dtypes match"
    r"|(?:must have the type|did not match|expected .* to have type) ?(?:torch\.)?\w+|different dtypes"
    r"|Input type \(.*\) and (?:weight|bias) type \(.*\) should be the same|mixed dtype|expected scalar type \w+ but"
    r"|expected dtype .* (?:for|but)|Expected self\.dtype to be equal|[Tt]ype promoti(?:on|ng) not supported"
    r"|does not match weight dtype|unsupported data type|object of scalar type|common dtype|have to be the same dtype"
    r"|assign a gradient with dtype",
    "needs float": r"std(?:_mean| and var)? only|var(?:_mean)? only support|could not infer output dtype"
    r"|must be either float"
    r"|[Ee]xpected a floating point|expected (?:input|common dtype) to (?:have|be) floating|only supports? floating"
    r"|[Oo]nly Tensors of floating point|should be either floating point|must be a floating point"
    r"|handle types other than float|dimensions of float, double|Complex ScalarType for|division with addcdiv"
    r"|negative integer powers|Bool inputs not supported|to be Half, Float or Double|for half, float and double"
    r"|bool dtype is not supported|bool is not supported|floating-point dtypes|dtype must be floating",
    "out dtype": r"Expected out tensor to have dtype|input types can't be cast to the desired output type"
    r"|Expected out tensor to have",
    "bool arithmetic": r"(?:Subtraction|Negation), the `-` operator",
    "not for dtype": r"not implemented for '(\w+)'"
    r"|not (?:yet )?(?:supported|implemented) for (?:complex|tensors with non-complex)|does not support (?:bool"
    r"|complex)|does(?:n't| not) support complex|only implemented on integer and Boolean"
    r"|Low precision dtypes|Unsupported dtype|not intended to support complex|expects a real input|only supported for"
    r"|not supported for (?:\w+ )?(?:complex|bool)|supports? only|bincount only supports"
    r"|converted to type \w+ without",
    # NumPy
    "requires grad": r"Can't call numpy\(\) on Tensor that requires grad",
    "no numpy dtype": r"unsupported ScalarType (\w+)|can't convert np\.ndarray of type ([\w.]+)"
    r"|byte order different from the native",
    "negative strides": r"stride.*negative|negative strides",
    "not a tensor": r"must be Tensor, not (?:numpy\.)?(?:ndarray|float\d+|int\d+)"
    r"|got \(.*numpy\.ndarray|but got numpy\.ndarray"
    r"|expected np\.ndarray \(got ([\w.]+)\)|numpy\.ndarray|'numpy\.ndarray' (?:object )?has no attribute"
    r"|'int' object is not callable|Cannot interpret|Concatenation operation|unexpected keyword argument '(?:axis"
    r"|out)'"
    r"|invalid combination of arguments",
    "on gpu": r"can't convert (\S+) device type tensor to numpy",
    # one number or truth value of many
    "item": r"Tensor with (\d+) elements? cannot be converted to Scalar|only one element tensors can be converted"
    r"|only integer tensors of a single element|__round__|Tensor\.__format__|only (?:length-1|0-dimensional) arrays"
    r"|unsupported format string passed to ndarray",
    "truth": r"(?:Boolean|truth) value of (?:a )?(?:Tensor|an array)",
    # autograd
    "implicit grad": r"implicitly created only for scalar outputs|Mismatch in shape: grad_output"
    r"|return a scalar Tensor"
    r"|gradients can be either Tensors or None",
    "second backward": r"backward through the graph a second time",
    "no grad": r"does not require grad and does not have a grad_fn|differentiated Tensors does not require grad"
    r"|not have been used in the graph|can't retain_grad on Tensor|doesn't require gradient",
    "leaf in place": r"(?:a view of )?a leaf Variable that requires grad",
    "view in place": r"is a view and is being modified inplace|single memory location"
    r"|view was created (?:in no_grad mode|inside)",
    "saved in place": r"needed for gradient computation has been modified by an inplace",
    "not a leaf": r"requires_grad flags of leaf variables|optimize a non-leaf Tensor"
    r"|graph leaves\) support the deepcopy",
    "inference tensor": r"[Ii]nference tensor",
    # linear algebra
    "not square": r"must be batches of square matrices, but they are (\d+) by (\d+)|must be square"
    r"|expected a matrix, but"
    r"|requirement prod\(self\.shape",
    "not a matrix": r"must have at least 2 dimensions|should have at least 2 dimensions|with 2 or more dimensions"
    r"|Supports 1D or 2D tensors|the input must be 1D or 2D",
    "singular": r"singular|not positive-definite|PositiveDefinite\(\)",
    "ill conditioned": r"failed to converge",
    "solve shape": r"Incompatible shapes of A and B|input\.size\(-2\) should match other|Incompatible matrix sizes",
    # memory
    "no memory": r"can't allocate memory|Unable to allocate|out of memory|Storage size calculation overflowed"
    r"|array is too big|tried to allocate|bad_alloc"
    r"|^\[enforce fail a$",  # of torch's allocator, which had no memory for the rest of its words
    "amount": r"tried to allocate (\d+) bytes|[Tt]ried to allocate ([\d.]+ \w+)|Unable to allocate ([\d.]+ \w+)",
    "sizes": r"sizes=\[([\d, ]*)\]",
}
_COMPILED: dict[str, re.Pattern[str]] = {}


def said(failure: Failure, name: str) -> re.Match[str] | None:
    """How the failure's message matches a pattern of the table; None where it says something else."""
    if name not in _COMPILED:
        _COMPILED[name] = re.compile(PATTERNS[name])
    return _COMPILED[name].search(failure.message)


# How torch's messages spell dtypes, and how they are spelt here.
_SPELLINGS = {
    "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "long": "int64", "int": "int32",
    "long int": "int64", "int64_t": "int64", "short": "int16", "char": "int8", "signed char": "int8", "byte": "uint8",
    "unsigned char": "uint8", "bool": "bool", "complexfloat": "complex64", "complexdouble": "complex128",
    "complexhalf": "complex32", "complex<float>": "complex64", "complex<double>": "complex128",
}  # fmt: skip


def dtype_named(word: str) -> str:
    """The name of a dtype, whichever of torch's spellings a message has: "float32" for Float and torch.FloatTensor."""
    plain = word.removeprefix("c10::").removeprefix("torch.").removeprefix("cuda.").removesuffix("Tensor")
    return _SPELLINGS.get(plain.lower(), plain)
