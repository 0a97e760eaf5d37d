// SPDX-License-Identifier: GPL-2.0
/*
 * guest_memfd over persistent memory.
 *
 * An object of mm/gmem_persist/ is the memory; a guest_memfd inode is one VM's
 * view of it, made anew every time a VM claims the object. The inode borrows the
 * address_space of the object, so that a single unmap reaches every mapping, and
 * tells KVM's MMU through the object's list of consumers.
 *
 * Nothing here depends on where the object comes from or how long it lives, and a
 * parked object holds nothing in KVM.
 */
#include <linux/align.h>
#include <linux/fs.h>
#include <linux/gmem_persist.h>
#include <linux/kvm_host.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "guest_memfd.h"

/**
 * struct kvm_gmem_view - one VM's use of an object
 * @obj: the object
 * @view: what the object knows of this use
 * @inode: the guest_memfd that shows it
 * @consumer: how the object tells KVM to drop its mappings
 */
struct kvm_gmem_view {
	struct gmem_object *obj;
	struct gmem_view *view;
	struct inode *inode;
	struct gmem_consumer consumer;
};

/*
 * KVM checks the gfn that faults against an invalidation in progress, but the leaf
 * that it then installs maps the neighbours, too: none of them may fault meanwhile.
 */
static void kvm_gmem_view_widen(struct kvm_gmem_view *view, pgoff_t *start, pgoff_t *end)
{
	int order;

	gmem_object_pfn(view->obj, *start, &order);
	*start = ALIGN_DOWN(*start, 1UL << order);
	gmem_object_pfn(view->obj, *end - 1, &order);
	*end = ALIGN(*end, 1UL << order);
}

static void kvm_gmem_view_invalidate_start(struct gmem_consumer *consumer, pgoff_t start,
					   pgoff_t end)
{
	struct kvm_gmem_view *view =
		container_of(consumer, struct kvm_gmem_view, consumer);

	kvm_gmem_view_widen(view, &start, &end);
	kvm_gmem_invalidate_start(view->inode, start, end);
}

static void kvm_gmem_view_invalidate_end(struct gmem_consumer *consumer, pgoff_t start,
					 pgoff_t end)
{
	struct kvm_gmem_view *view =
		container_of(consumer, struct kvm_gmem_view, consumer);

	kvm_gmem_view_widen(view, &start, &end);
	kvm_gmem_invalidate_end(view->inode, start, end);
}

static const struct gmem_consumer_ops kvm_gmem_view_consumer_ops = {
	.invalidate_start = kvm_gmem_view_invalidate_start,
	.invalidate_end = kvm_gmem_view_invalidate_end,
};

static void kvm_gmem_view_bind(struct inode *inode, void *backing)
{
	struct kvm_gmem_view *view = backing;

	view->inode = inode;
	inode->i_mapping = gmem_object_inode(view->obj)->i_mapping;
	gmem_object_attach(view->obj, &view->consumer);
}

static void kvm_gmem_view_release(void *backing)
{
	struct kvm_gmem_view *view = backing;

	gmem_object_detach(view->obj, &view->consumer);
	gmem_view_end(view->view);
	gmem_object_release(view->obj);
	kfree(view);
}

static int kvm_gmem_view_get_pfn(void *backing, pgoff_t index, kvm_pfn_t *pfn, int *max_order)
{
	struct kvm_gmem_view *view = backing;

	/* Where it maps for reading now, it does not ask again for writing. */
	gmem_view_write(view->view);
	*pfn = gmem_object_pfn(view->obj, index, max_order);
	return gmem_object_is_bad(view->obj, index) ? -EHWPOISON : 0;
}

static long kvm_gmem_view_fallocate(void *backing, int mode, loff_t offset, loff_t len)
{
	struct kvm_gmem_view *view = backing;

	if (mode & FALLOC_FL_PUNCH_HOLE)
		return gmem_view_punch(view->view, offset, len);

	/* All memory is there from the start. */
	return offset + len > i_size_read(view->inode) ? -EINVAL : 0;
}

static int kvm_gmem_view_mmap(void *backing, struct vm_area_struct *vma)
{
	struct kvm_gmem_view *view = backing;

	return gmem_view_mmap(view->view, vma);
}

static const struct kvm_gmem_ops kvm_gmem_view_ops = {
	.bind = kvm_gmem_view_bind,
	.release = kvm_gmem_view_release,
	.get_pfn = kvm_gmem_view_get_pfn,
	.fallocate = kvm_gmem_view_fallocate,
	.mmap = kvm_gmem_view_mmap,
};

int __weak kvm_arch_gmem_persist_class(struct kvm *kvm, u32 *vm_class)
{
	return -EOPNOTSUPP;
}

/* From now on the VM has persistent memory, and must not become what cannot have it. */
int __weak kvm_arch_gmem_persist_commit(struct kvm *kvm)
{
	return 0;
}

/**
 * kvm_gmem_persist_supported - may guests of this VM live in persistent memory
 * @kvm: the VM, or NULL: is there a VM of which that is true
 *
 * Return: true if so.
 */
bool kvm_gmem_persist_supported(struct kvm *kvm)
{
	u32 vm_class;

	return gmem_persist_enabled() &&
	       (!kvm || !kvm_arch_gmem_persist_class(kvm, &vm_class));
}

/* Make a guest_memfd of an object whose VM view the caller has claimed, and begun. */
static int kvm_gmem_view_create(struct kvm *kvm, struct gmem_object *obj, struct gmem_view *use,
				loff_t size, u64 flags)
{
	struct kvm_gmem_view *view;
	int fd;

	fd = kvm_arch_gmem_persist_commit(kvm);
	if (fd)
		return fd;
	view = kzalloc_obj(*view, GFP_KERNEL_ACCOUNT);
	if (!view)
		return -ENOMEM;

	view->obj = obj;
	view->view = use;
	view->consumer.ops = &kvm_gmem_view_consumer_ops;
	fd = __kvm_gmem_create(kvm, size, flags, &kvm_gmem_view_ops, view);
	if (fd < 0)
		kfree(view);
	return fd;
}

/*
 * Make a guest_memfd of an object whose VM view the caller has claimed, by @handle if that is not
 * NULL. What has been created stays with the handle's file, whatever comes; without one it ends if
 * this fails.
 */
static int kvm_gmem_view_begin(struct kvm *kvm, struct gmem_object *obj, struct file *handle,
			       bool created, loff_t size, u64 flags)
{
	struct gmem_view *view = gmem_view_begin(obj, handle, created);
	int fd = PTR_ERR_OR_ZERO(view);

	if (!fd) {
		fd = kvm_gmem_view_create(kvm, obj, view, size, flags);
		if (fd < 0)
			gmem_view_end(view);
	}
	if (fd < 0)
		gmem_object_undo(obj, created && !handle);
	return fd;
}

/*
 * The checks that all ways to persistent memory share. The pool is a resource of
 * the host, and names are not checked against anything else; a handle was, when the
 * file was opened.
 */
static int kvm_gmem_persist_check_access(struct kvm *kvm, bool handle, u32 *vm_class)
{
	int err = kvm_arch_gmem_persist_class(kvm, vm_class);

	if (err)
		return err;
	if (!handle && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	return gmem_persist_enabled() ? 0 : -ENODEV;
}

/**
 * kvm_gmem_persist_create - KVM_CREATE_GUEST_MEMFD with GUEST_MEMFD_FLAG_PERSIST
 * @kvm: the VM
 * @size: in bytes; a multiple of the page size
 * @flags: as for KVM_CREATE_GUEST_MEMFD
 *
 * The memory comes from the pool, in granules of 2 MiB, and goes back there with the
 * last reference to the file. It has no name and does not survive a kexec.
 *
 * Return: a file descriptor, -EINVAL (size, or unknown flags; without a pool that includes
 * GUEST_MEMFD_FLAG_PERSIST, as on any kernel that does not have it), -EPERM (no
 * CAP_SYS_ADMIN), -EOPNOTSUPP (not with this type of VM), -EMFILE or -ENFILE (too
 * many files), or an error of gmem_object_create().
 */
int kvm_gmem_persist_create(struct kvm *kvm, loff_t size, u64 flags)
{
	struct gmem_object_params params = { .flags = flags };
	struct gmem_object *obj;
	int r;

	if (!gmem_persist_enabled())
		return -EINVAL;
	r = kvm_gmem_persist_check_access(kvm, false, &params.vm_class);
	if (r)
		return r;
	if (flags & ~kvm_gmem_get_supported_flags(kvm) || size <= 0 ||
	    !PAGE_ALIGNED(size))
		return -EINVAL;

	/* The file ends where it was asked to, as any guest_memfd. */
	params.size = round_up((u64)size, SZ_2M);
	obj = gmem_object_create(&params);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	return kvm_gmem_view_begin(kvm, obj, NULL, true, size, flags);
}

/**
 * kvm_gmem_persist_create_from - KVM_CREATE_GUEST_MEMFD with GUEST_MEMFD_FLAG_USE_RESOURCE
 * @kvm: the VM
 * @args: as user space passed them
 *
 * The memory is that of the file of gmemfs which resource_fd shows; the file gets memory if it has
 * none. If it is the root directory of gmemfs, the memory has no name, goes back to the pool with
 * the last reference to the guest_memfd, and does not survive a kexec. What permits it is what
 * permitted to open the file; or, of the directory, what permits to create a file there.
 *
 * Return: a file descriptor, -EINVAL (unknown flags, which these are without a pool, or with
 * GUEST_MEMFD_FLAG_PERSIST; a reserved field that is not 0; a size that is 0 or no multiple of
 * the file's granules), -EOPNOTSUPP (not with this type of VM), -EBADF (resource_fd is no open
 * file, or a file that is not open for reading and writing), -EBUSY (somebody else can write to
 * the memory, or as below), -EMFILE or -ENFILE (too many files), or an error of
 * gmem_resource_open() or gmem_resource_claim().
 */
int kvm_gmem_persist_create_from(struct kvm *kvm, const struct kvm_create_guest_memfd *args)
{
	const u64 flags = args->flags & ~GUEST_MEMFD_FLAG_USE_RESOURCE;
	const u64 supported = kvm_gmem_get_supported_flags(kvm) & ~GUEST_MEMFD_FLAG_PERSIST;
	struct gmem_object *obj;
	struct file *handle;
	bool created;
	u32 vm_class;
	int r;

	if (!gmem_persist_enabled())
		return -EINVAL;
	r = kvm_arch_gmem_persist_class(kvm, &vm_class);
	if (r)
		return r;
	if (args->flags & ~supported || args->pad ||
	    memchr_inv(args->reserved, 0, sizeof(args->reserved)) ||
	    !args->size || !IS_ALIGNED(args->size, SZ_2M))
		return -EINVAL;

	/* A directory may be open by O_PATH, as fsmount() returns it. */
	struct file *resource __free(fput) = fget_raw(args->resource_fd);
	if (!resource)
		return -EBADF;
	handle = gmem_resource_open(resource);
	if (IS_ERR(handle))
		return PTR_ERR(handle);
	obj = gmem_resource_claim(handle, args->size, flags, vm_class, &created);
	if (IS_ERR(obj))
		r = PTR_ERR(obj);
	else
		r = kvm_gmem_view_begin(kvm, obj, handle, created, args->size, flags);
	/* The view holds the object from now on. */
	fput(handle);
	return r;
}

static struct gmem_object *kvm_gmem_persist_get_object(u32 op, struct gmem_object_params *params,
						       bool *created)
{
	struct gmem_object *obj;

	for (;;) {
		*created = false;
		if (op != KVM_GMEM_PERSIST_CREATE) {
			obj = gmem_object_claim(params);
			if (op == KVM_GMEM_PERSIST_RECLAIM ||
			    obj != ERR_PTR(-ENOENT))
				return obj;
		}

		*created = true;
		obj = gmem_object_create(params);
		/* Somebody else was faster, so there is something to claim. */
		if (op == KVM_GMEM_PERSIST_CREATE || obj != ERR_PTR(-EEXIST))
			return obj;
		/* Or not any more: whoever removes the name may wait for this CPU. */
		schedule_timeout_interruptible(1);
		if (signal_pending(current))
			return ERR_PTR(-EINTR);
	}
}

static int kvm_gmem_persist_check_args(struct kvm *kvm, const struct kvm_gmem_persist *args)
{
	const u64 flags = kvm_gmem_get_supported_flags(kvm) &
			  ~(GUEST_MEMFD_FLAG_PERSIST | GUEST_MEMFD_FLAG_USE_RESOURCE);
	const bool by_handle = args->op & KVM_GMEM_PERSIST_HANDLE;
	const u32 op = args->op & ~KVM_GMEM_PERSIST_HANDLE;
	const size_t len = strnlen(args->name, sizeof(args->name));

	if (op > KVM_GMEM_PERSIST_CREATE_OR_RECLAIM ||
	    by_handle == !!args->name[0] || (args->handle && !by_handle) ||
	    args->flags & ~flags || args->pad2 ||
	    args->nodemask_bits > KVM_GMEM_PERSIST_MAX_NODES ||
	    (args->nodemask && !args->nodemask_bits) ||
	    memchr_inv(args->name + len, 0, sizeof(args->name) - len) ||
	    memchr_inv(args->reserved, 0, sizeof(args->reserved)))
		return -EINVAL;
	/* Existing memory is not moved. */
	if (op == KVM_GMEM_PERSIST_RECLAIM && args->nodemask_bits)
		return -EINVAL;
	return 0;
}

/* The nodes that the caller wants; one that can not exist is an error. */
static int kvm_gmem_persist_get_nodes(const struct kvm_gmem_persist *args, nodemask_t *nodes)
{
	const u64 __user *words = u64_to_user_ptr(args->nodemask);
	unsigned int bit;
	u64 word = 0;

	nodes_clear(*nodes);
	for (bit = 0; bit < args->nodemask_bits; bit++) {
		if (!(bit % 64) && get_user(word, words++))
			return -EFAULT;
		if (!(word & BIT_ULL(bit % 64)))
			continue;
		if (bit >= nr_node_ids)
			return -EINVAL;
		node_set(bit, *nodes);
	}
	return nodes_empty(*nodes) ? -EINVAL : 0;
}

/* Tell what was created or claimed, and make a guest_memfd of it; which owns @view then. */
static int kvm_gmem_persist_answer(struct kvm *kvm, struct gmem_object *obj,
				   struct gmem_view *view, struct kvm_gmem_persist *args,
				   struct kvm_gmem_persist __user *argp)
{
	struct gmem_view_info tokens;
	struct gmem_object_info info;

	gmem_object_get_info(obj, &info);
	gmem_view_get_info(view, &tokens);
	args->size = info.size;
	args->granule = info.granule;
	args->generation = info.generation;
	memcpy(args->uuid, tokens.uuid, sizeof(args->uuid));
	memcpy(args->token, tokens.token, sizeof(args->token));
	memcpy(args->own_token, tokens.own_token, sizeof(args->own_token));
	if (copy_to_user(argp, args, sizeof(*args)))
		return -EFAULT;
	return kvm_gmem_view_create(kvm, obj, view, info.size, args->flags);
}

/* Do what was asked for, when @args have been found right. */
static int kvm_gmem_persist_serve(struct kvm *kvm, struct gmem_object_params *params,
				  struct kvm_gmem_persist *args,
				  struct kvm_gmem_persist __user *argp)
{
	const u32 op = args->op & ~KVM_GMEM_PERSIST_HANDLE;
	struct gmem_object *obj;
	struct gmem_view *view;
	bool created;
	int r;

	obj = kvm_gmem_persist_get_object(op, params, &created);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	view = gmem_view_begin(obj, params->handle, created);
	r = PTR_ERR_OR_ZERO(view);
	if (!r) {
		r = kvm_gmem_persist_answer(kvm, obj, view, args, argp);
		if (r < 0)
			gmem_view_end(view);
	}
	/* The file of a handle is there whatever comes. */
	if (r < 0)
		gmem_object_undo(obj, created && !params->handle);
	return r;
}

/**
 * kvm_gmem_persist_ioctl - KVM_GMEM_PERSIST
 * @kvm: the VM
 * @argp: struct kvm_gmem_persist of user space
 *
 * Documented in Documentation/virt/kvm/gmem-persist.rst.
 *
 * Return: a file descriptor or -errno.
 */
int kvm_gmem_persist_ioctl(struct kvm *kvm, struct kvm_gmem_persist __user *argp)
{
	struct gmem_object_params params = {};
	struct kvm_gmem_persist args;
	char name[KVM_GMEM_PERSIST_NAME_SIZE + 1] = {};
	nodemask_t nodes;
	bool by_handle;
	int r;

	BUILD_BUG_ON(KVM_GMEM_PERSIST_NAME_SIZE != GMEM_NAME_SIZE);
	BUILD_BUG_ON(KVM_GMEM_PERSIST_TOKEN_SIZE != GMEM_TOKEN_SIZE);

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	by_handle = args.op & KVM_GMEM_PERSIST_HANDLE;
	r = kvm_gmem_persist_check_access(kvm, by_handle, &params.vm_class);
	if (r)
		return r;
	r = kvm_gmem_persist_check_args(kvm, &args);
	if (r)
		return r;
	if (args.nodemask_bits) {
		r = kvm_gmem_persist_get_nodes(&args, &nodes);
		if (r)
			return r;
		params.nodes = &nodes;
	}
	/* Whoever cannot take the answer shall not change anything. */
	if (copy_to_user(argp, &args, sizeof(args)))
		return -EFAULT;

	memcpy(name, args.name, sizeof(args.name));
	params.name = name;
	params.size = args.size;
	params.granule = args.granule;
	params.flags = args.flags;
	if (by_handle) {
		params.handle = fget(args.handle);
		if (!params.handle)
			return -EBADF;
	}
	r = kvm_gmem_persist_serve(kvm, &params, &args, argp);
	/* The view holds the object from now on. */
	if (params.handle)
		fput(params.handle);
	return r;
}
